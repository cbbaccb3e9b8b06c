//! The loop: attempt, judge, accept or shrink. It knows no tableau, no engine and no adjoint.

use crate::{
    controller::{initial_step, StepControl},
    error::{Quantity, SolveError},
    options::{Controller, SolveOptions},
    state::State,
    stats::Stats,
    step::Step,
    stepper::ExplicitRk,
    tableau::ButcherTableau,
    trajectory::Recorder,
    vector_field::VectorField,
};

/// The value of a solve at its end point, and what it cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Solution<Y> {
    /// State at `t1`.
    pub y: Y,
    /// Evaluations of the field.
    pub evaluations: usize,
    /// Accepted steps.
    pub accepted: usize,
    /// Rejected steps.
    pub rejected: usize,
}

impl<Y> Solution<Y> {
    /// What the solve cost, as the statistics of a forward solve.
    pub fn stats(&self) -> Stats {
        Stats {
            field_calls: self.evaluations,
            accepted: self.accepted,
            rejected: self.rejected,
            vjps: 0,
            jvps: 0,
        }
    }
}

/// Solves `dy/dt = f(t, y)` from `y0` at `options.t0` to `options.t1` with the method of `tableau`, and
/// hands every accepted step to `recorder`.
///
/// The last step lands on `t1` exactly. An empty span is the identity and evaluates nothing.
///
/// # Errors
/// Options out of their domain ([`SolveOptions::validate`]), a method without an error estimate under a
/// controller that needs one ([`SolveError::NoErrorEstimate`]), a state without elements, a state or field
/// that is not finite, step sizes that underflow, too many steps, and whatever the field and the recorder
/// return.
pub fn solve<F: VectorField, R: Recorder<F::State, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    options: &SolveOptions,
    recorder: &mut R,
) -> Result<Solution<F::State>, SolveError> {
    solve_observed(field, tableau, y0, options, |_, step| recorder.record(step))
}

/// [`solve`], with every accepted step shown to `observe` beside the field, which it may call.
pub(crate) fn solve_observed<F: VectorField, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    options: &SolveOptions,
    mut observe: impl FnMut(&mut F, Step<&mut F::State, &mut [F::State; S]>) -> Result<(), SolveError>,
) -> Result<Solution<F::State>, SolveError> {
    options.validate(y0.epsilon())?;
    let adaptive = !matches!(options.controller, Controller::Constant { .. });
    if adaptive && !tableau.adaptive() {
        return Err(SolveError::NoErrorEstimate {
            method: tableau.name,
            controller: options.controller,
        });
    }
    if y0.is_empty() {
        return Err(SolveError::EmptyBatch { shape: vec![0] });
    }
    let tolerances = options.tolerances();
    let (t0, t1) = (options.t0, options.t1);
    let d0 = finite_norm(&y0, &y0, Quantity::InitialState, options)?;
    let (mut accepted, mut rejected) = (0, 0);
    #[allow(
        clippy::float_cmp,
        reason = "the empty span is the one with equal ends"
    )]
    if t0 == t1 {
        return Ok(Solution {
            y: y0,
            evaluations: 0,
            accepted,
            rejected,
        });
    }

    let direction = (t1 - t0).signum();
    let smallest = 16.0 * f64::EPSILON * t0.abs().max(t1.abs());
    let mut stepper = ExplicitRk::new(field, tableau, t0, y0)?;
    let mut size = first_size(&mut stepper, d0, tableau.order, options)?;
    let mut control = StepControl::new(options.controller, tableau.order);
    let mut last_square: f64 = 0.0;
    loop {
        let t = stepper.t();
        let remaining = (t1 - t).abs();
        if accepted + rejected == options.max_steps {
            return Err(SolveError::MaxSteps {
                t,
                t1,
                h: direction * size,
                error: last_square.sqrt(),
                steps: options.max_steps,
            });
        }
        if adaptive {
            // Below this the sum `t + h` may not differ from `t`.
            size = size.max(smallest);
        }
        // A step that would leave only rounding noise behind takes it along.
        let last = size * (1.0 + 1e-10) >= remaining;
        let h = direction * if last { remaining } else { size };
        let square = stepper.attempt_squared(h, &tolerances)?;
        last_square = square;
        let verdict = control.judge(square);
        size = h.abs() * verdict.factor;
        if verdict.accepted {
            accepted += 1;
            let (field, step) = stepper.accepted();
            observe(field, step)?;
            stepper.accept(if last {
                t1
            } else if adaptive {
                t + h
            } else {
                // Equal steps stand at multiples of their size, however many there are.
                #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
                let steps = accepted as f64;
                t0 + steps * h
            });
            if last {
                break;
            }
        } else {
            rejected += 1;
            if size < smallest || !adaptive {
                return Err(dead_end(
                    t,
                    h,
                    square.sqrt(),
                    stepper.worst_sample(&tolerances),
                ));
            }
        }
    }
    Ok(Solution {
        evaluations: stepper.evaluations(),
        y: stepper.into_y(),
        accepted,
        rejected,
    })
}

/// The scaled norm of `x` at the start of a solve from `y0`, or the error that it is not finite.
fn finite_norm<Y: State>(
    x: &Y,
    y0: &Y,
    quantity: Quantity,
    options: &SolveOptions,
) -> Result<f64, SolveError> {
    let tolerances = options.tolerances();
    let norm = Y::scaled_norm(x, y0, y0, &tolerances)?;
    if norm.is_finite() {
        return Ok(norm);
    }
    Err(SolveError::NonFinite {
        quantity,
        t: options.t0,
        h: 0.0,
        sample: Y::worst_sample(x, y0, y0, &tolerances),
    })
}

/// The size of the first step; `d0` is the scaled norm of the initial state.
fn first_size<F: VectorField, const S: usize>(
    stepper: &mut ExplicitRk<'_, F, S>,
    d0: f64,
    order: usize,
    options: &SolveOptions,
) -> Result<f64, SolveError> {
    let d1 = finite_norm(stepper.dy(), stepper.y(), Quantity::VectorField, options)?;
    match (options.controller, options.dt0) {
        (Controller::Constant { dt }, _) => Ok(dt),
        (_, Some(dt0)) => Ok(dt0),
        (_, None) => stepper.probe(|field, y0, f0| {
            let span = (options.t0, options.t1);
            let tolerances = options.tolerances();
            initial_step(field, span, (y0, d0), (f0, d1), order, &tolerances)
        }),
    }
}

/// Why a rejected step cannot be tried again with a smaller size.
fn dead_end(t: f64, h: f64, error: f64, sample: Option<usize>) -> SolveError {
    if error.is_finite() {
        SolveError::StepTooSmall {
            t,
            h,
            error,
            sample,
        }
    } else {
        SolveError::NonFinite {
            quantity: Quantity::Step,
            t,
            h,
            sample,
        }
    }
}
