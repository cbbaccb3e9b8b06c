//! Gradients of a solve: from the cotangents of its saved values to those of `y0` and of the parameters.
//!
//! | adjoint | what it computes | cost, for Tsit5 | memory |
//! |---|---|---|---|
//! | [`discrete`] | the exact derivative of the accepted steps, their sizes held fixed | 6 VJPs per accepted step, one more per step with saved points inside | 8 states per step |
//! | [`checkpointed`] | the same, bit for bit | the same, and 6 field calls or more per accepted step | a budget |
//! | [`interpolating`] | the continuous adjoint equations, solved backwards to the forward relative tolerance | 2 VJPs per interval between saved points, and 6 per step of the backward solves | 8 states per step |
//! | [`gauss`] | the same for the state alone; the parameters by quadrature of each step | the same, and 7 VJPs per accepted step or piece of one | 8 states per step |
//! | [`quadrature`] | the same for the state alone; the parameters by adaptive quadrature of each interval | the same without these 7, and 15 VJPs per piece of an interval | 8 states per step, forwards and backwards |
//! | [`backsolve`] | the same with the solution itself solved backwards; **wrong for contracting flows** | as interpolating, with as many field calls | the saved values and `y0` |
//!
//! A VJP computes its parts for the state and for the parameters together. [`Kept`] is what the forward solve keeps for
//! each.

pub mod backsolve;
pub mod checkpointed;
pub mod discrete;
pub mod gauss;
pub mod gradient_error;
mod integral;
pub mod interpolating;
mod kept;
pub mod quadrature;
mod reverse;
pub(crate) mod scale;
mod times;

pub use crate::ode::field::back::{Cotangent, Part, WalkBack};
pub use checkpointed::Checkpoints;
pub use kept::{solve_keeping, Kept};
pub use times::TimeGradients;

use std::borrow::Cow;

use crate::ode::{
    choices::{Adjoint, Controller, GradientCheck},
    error::{Quantity, SolveError},
    field::Differentiable,
    options::SolveOptions,
    state::{alike, larger, State},
    stats::Stats,
    stepper::ExplicitRk,
    trajectory::{Recorder, Trajectory},
};

use gradient_error::{cut, judge, kink_factor, relative, together};

/// The result of an adjoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pullback<Y, P> {
    /// `dL/dy0`.
    pub y_bar: Y,
    /// `dL/dtheta`.
    pub theta_bar: P,
    /// What it cost.
    pub stats: Stats,
}

/// Pulls the cotangents of a solve's values back to `y0` and the parameters with the adjoint that
/// `options` names. `trajectory` holds the steps of that solve; the cotangent of its end value is the one at
/// `t1`. Several cotangents may have the same time.
///
/// A trajectory is more than some adjoints need, and [`Kept`] is what each needs: from here, `Checkpointed` is
/// `Discrete`, and `Backsolve` starts anew from the dense output at each cotangent's time.
///
/// # Errors
/// [`SolveError::NoTimes`], [`SolveError::TimeOutsideSpan`] and [`SolveError::UnorderedTimes`] for the times of the
/// cotangents, [`SolveError::ShapeMismatch`] for cotangents of another shape than the solution,
/// [`SolveError::NonFinite`] for a cotangent or a gradient that is not finite, [`SolveError::GradientError`] for a
/// gradient that is not to be trusted, [`SolveError::Quadrature`] for an integral that is not found, and whatever the
/// adjoint's own solve returns.
pub fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let start = trajectory.steps().first().map(|step| &step.y);
    checked(
        start,
        cotangents,
        options,
        |cotangents, norms| match options.adjoint {
            Adjoint::Discrete | Adjoint::Checkpointed { .. } => {
                discrete::pull_back(field, trajectory, cotangents, norms, options)
            }
            Adjoint::Interpolating | Adjoint::Gauss | Adjoint::Quadrature => {
                continuous(field, trajectory, cotangents, norms, options)
            }
            Adjoint::Backsolve => {
                let mut values = Vec::with_capacity(cotangents.len());
                for Cotangent { t, value } in cotangents {
                    let mut y = value.clone();
                    trajectory.evaluate(*t, &mut y)?;
                    values.push((*t, y));
                }
                let tableau = trajectory.tableau();
                let given = together(norms);
                backsolve::pull_back(
                    field,
                    tableau,
                    (start, &values),
                    (cotangents, given),
                    options,
                )
            }
        },
    )
}

/// The result of a continuous adjoint along a solution, and whether an error of that solution may have grown so much
/// that it matters.
type Continuous<Y, P> = (Pullback<Y, P>, bool);

/// The gradient by a continuous adjoint; where the solution may be another one than the right one, its error is at
/// least how far the cotangent of `y0` is off the one along a solution with halved steps.
fn continuous<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    norms: &[(f64, f64)],
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let pull_back = match options.adjoint {
        Adjoint::Gauss => gauss::pull_back,
        Adjoint::Quadrature => quadrature::pull_back,
        _ => interpolating::pull_back,
    };
    let (mut pulled, amplifies) = pull_back(field, trajectory, cotangents, options)?;
    pulled.stats.gradient_error *= kink_factor(field.has_kinks());
    let pulled = second_look(pulled, amplifies, together(norms), options, || {
        let (halved, field_calls) = halved(field, trajectory, options)?;
        let mut options = options.clone();
        if let Controller::Constant { dt } = &mut options.controller {
            // Such steps have no tolerance that the solve back would meet.
            *dt *= 0.5;
            options.max_steps = options.max_steps.saturating_mul(2);
        }
        let (mut other, _) = pull_back(field, &halved, cotangents, &options)?;
        other.stats.field_calls += field_calls;
        Ok(other)
    })?;
    judge(pulled, None, options)
}

/// Compares a gradient with the one along `other`, a better solution, where an error of the solution `amplifies` or the
/// options ask for it: its error is at least the distance of the cotangents of `y0`.
fn second_look<Y: State, P>(
    mut pulled: Pullback<Y, P>,
    amplifies: bool,
    given: f64,
    options: &SolveOptions,
    other: impl FnOnce() -> Result<Pullback<Y, P>, SolveError>,
) -> Result<Pullback<Y, P>, SolveError> {
    if !amplifies && options.gradient_check == GradientCheck::Quick {
        return Ok(pulled);
    }
    let error = match other() {
        Ok(other) => {
            let of_steps = pulled.stats.gradient_error;
            pulled.stats += other.stats;
            pulled.stats.gradient_error = of_steps;
            relative(&other.y_bar, &pulled.y_bar, given)?
        }
        Err(error @ SolveError::Device(_)) => return Err(error),
        // Only one of the two solutions has a gradient.
        Err(_) => f64::INFINITY,
    };
    // Where steps have no estimate, the distance is all that is known.
    let of_steps = pulled.stats.gradient_error;
    pulled.stats.gradient_error = if of_steps.is_nan() {
        error
    } else {
        larger(error, of_steps)
    };
    Ok(pulled)
}

/// The solution over the steps of another one cut in half, and the evaluations that it took.
fn halved<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    options: &SolveOptions,
) -> Result<(Trajectory<F::State, S>, usize), SolveError> {
    let mut halved = Trajectory::new(trajectory.tableau());
    let steps = trajectory.steps().iter().map(|step| (step.t, step.h));
    let steps = cut(&steps.collect::<Vec<_>>(), 2);
    let (Some((t, _)), Some(first)) = (steps.first(), trajectory.steps().first()) else {
        return Ok((halved, 0));
    };
    let tolerances = options.tolerances();
    let mut stepper = ExplicitRk::new(field, trajectory.tableau(), *t, first.y.clone())?;
    for (index, (t, h)) in steps.iter().enumerate() {
        if index > 0 {
            // The field may jump here.
            stepper.restart(*t)?;
        }
        stepper.attempt(*h, &tolerances)?;
        let (_, step, _) = stepper.accepted();
        halved.record(step)?;
        stepper.accept(t + h);
    }
    let field_calls = stepper.field_calls();
    Ok((halved, field_calls))
}

/// Checks that `cotangents` have the shape of a state of the solve, their times, and that they are finite, and pulls
/// them back by `pull_back`, which gets them with the time and the norm of each.
///
/// A gradient is linear in the cotangents. Where their squares would vanish or overflow, they are first multiplied by a
/// power of two that makes them about one, and the gradient is divided by it.
fn checked<Y: State, P: State>(
    state: Option<&Y>,
    cotangents: &[Cotangent<Y>],
    options: &SolveOptions,
    pull_back: impl FnOnce(&[Cotangent<Y>], &[(f64, f64)]) -> Result<Pullback<Y, P>, SolveError>,
) -> Result<Pullback<Y, P>, SolveError> {
    let (mut cotangents, mut norms) = check(state, cotangents, options)?;
    let mut largest = 0.0_f64;
    for (Cotangent { value, .. }, (_, norm)) in cotangents.iter().zip(&norms) {
        largest = largest.max(scale::size(value, *norm)?);
    }
    let epsilon = cotangents
        .first()
        .map_or(f64::EPSILON, |cotangent| cotangent.value.epsilon());
    let Some(factor) = scale::to_one(largest, epsilon) else {
        return pull_back(&cotangents, &norms);
    };
    for (cotangent, (_, norm)) in cotangents.to_mut().iter_mut().zip(&mut norms) {
        cotangent.value = scale::times(&cotangent.value, factor)?;
        *norm = cotangent.value.norm()?;
    }
    let mut pulled = pull_back(&cotangents, &norms)?;
    pulled.y_bar = scale::times(&pulled.y_bar, 1.0 / factor)?;
    pulled.theta_bar = scale::times(&pulled.theta_bar, 1.0 / factor)?;
    judge(pulled, None, options)
}

/// The cotangents, with the time and the norm of each, if their times are those of the solve and they are finite. A
/// time that rounding has taken out of the span becomes the end that it means.
fn check<'c, Y: State>(
    state: Option<&Y>,
    cotangents: &'c [Cotangent<Y>],
    options: &SolveOptions,
) -> Result<(Cow<'c, [Cotangent<Y>]>, Vec<(f64, f64)>), SolveError> {
    options.validate_times(cotangents.iter().map(|cotangent| cotangent.t))?;
    let mut norms = Vec::with_capacity(cotangents.len());
    let given = cotangents;
    let mut cotangents = Cow::Borrowed(given);
    if let Some(state) = state.or(given.first().map(|first| &first.value)) {
        for cotangent in given {
            alike(state, &cotangent.value)?;
        }
    }
    for index in 0..cotangents.len() {
        if !cotangents[index].value.is_padded_with_zeros() {
            cotangents.to_mut()[index].value.pad_with_zeros();
        }
    }
    for Cotangent { t, value } in cotangents.iter() {
        let norm = value.norm()?;
        if !norm.is_finite() {
            return Err(SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t: *t,
                h: 0.0,
                sample: Y::worst_sample(value, value, value, &options.tolerances()),
            });
        }
        norms.push((options.meant(*t), norm));
    }
    for index in 0..cotangents.len() {
        let t = cotangents[index].t;
        let meant = options.meant(t);
        if meant.to_bits() != t.to_bits() {
            cotangents.to_mut()[index].t = meant;
        }
    }
    Ok((cotangents, norms))
}
