//! The loop: attempt, judge, accept or shrink. It knows no tableau, no engine and no adjoint.

mod guided;

use core::ops::ControlFlow;

use crate::ode::{
    choices::{Control, Controller, StepSizes},
    control::{initial_step, StepControl},
    error::{Quantity, SolveError},
    field::VectorField,
    method::ButcherTableau,
    options::SolveOptions,
    resolution::{equal_part, resolution, Reach},
    state::State,
    stats::Stats,
    step::Step,
    stepper::ExplicitRk,
    stiffness::{is_stiff, stable_up_to},
    stops::{Legs, Then},
    trajectory::Recorder,
};

/// The value of a solve at its end point, and what it cost.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Solved<Y> {
    /// State at `t1`.
    pub y: Y,
    /// Evaluations of the field.
    pub field_calls: usize,
    /// Accepted steps.
    pub accepted: usize,
    /// Rejected steps.
    pub rejected: usize,
}

impl<Y> Solved<Y> {
    /// What the solve cost, as the statistics of a forward solve.
    pub fn stats(&self) -> Stats {
        Stats {
            field_calls: self.field_calls,
            accepted: self.accepted,
            rejected: self.rejected,
            ..Stats::default()
        }
    }
}

/// An attempted step, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepInfo {
    /// Time at its start.
    pub t: f64,
    /// Its size, negative backwards in time.
    pub h: f64,
    /// Its scaled error; not finite if the state that it leads to is not.
    pub error: f64,
    /// Whether it was accepted; under control, if its error is at most 1.
    pub accepted: bool,
}

/// Solves `dy/dt = f(t, y)` from `y0` at `options.t0` to `options.t1` and hands every accepted step to `recorder`, such
/// as a [`Trajectory`](crate::ode::trajectory::Trajectory) or `()`, which keeps nothing.
///
/// The method is that of `tableau`, whatever `options.solver` names: this is the function under [`Solve`], which takes
/// the method of the options, and under everything else that solves. The last step lands on `t1` exactly. An empty span
/// is the identity and evaluates nothing.
///
/// [`Solve`]: crate::Solve
///
/// # Errors
/// Options out of their domain ([`SolveOptions::validate`]), a method without an error estimate under a controller that
/// needs one ([`SolveError::NoErrorEstimate`]), step sizes for each sample of a batch ([`SolveError::SharedStepsOnly`];
/// [`solve_per_sample`](crate::engine::per_sample::solve_per_sample) takes them), a state without elements, a state or
/// field that is not finite, step sizes that underflow, too many steps ([`SolveError::MaxSteps`],
/// [`SolveError::Stiff`]), and whatever the field and the recorder return.
pub fn record<F: VectorField, R: Recorder<F::State, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    options: &SolveOptions,
    recorder: &mut R,
) -> Result<Solved<F::State>, SolveError> {
    solve_observed(field, tableau, y0, options, |_, step| recorder.record(step))
}

/// [`record`], with every accepted step shown to `observe` beside the field, which it may call.
pub(crate) fn solve_observed<F: VectorField, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    options: &SolveOptions,
    observe: impl FnMut(&mut F, Step<&mut F::State, &mut [F::State; S]>) -> Result<(), SolveError>,
) -> Result<Solved<F::State>, SolveError> {
    let run = run(field, tableau, y0, options, &mut EachStep(observe));
    run.finish.map(|_| run.solved)
}

/// What the loop shows its steps to, while they are made.
pub(crate) trait Observer<F: VectorField, const S: usize> {
    /// An accepted step, whose state and stages it may take as a [`Recorder`] may, with time and state at its end.
    /// `Break` ends the solve there.
    fn accepted(
        &mut self,
        field: &mut F,
        step: Step<&mut F::State, &mut [F::State; S]>,
        end: (f64, &F::State),
    ) -> Result<ControlFlow<()>, Halt>;

    /// Where the next step goes on after an accepted one: time, state, and its derivative.
    ///
    /// # Errors
    /// [`SolveError`] ends the solve.
    #[inline]
    fn go_on(
        &mut self,
        _field: &mut F,
        _t: f64,
        _y: &mut F::State,
        _dy: &mut F::State,
    ) -> Result<(), SolveError> {
        Ok(())
    }

    /// An attempted step, after [`Observer::accepted`] if it was. `Break` ends the solve.
    #[inline]
    fn attempted(&mut self, _: &StepInfo) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Why an observer ends a solve with an error.
pub(crate) enum Halt {
    /// The step is none: the solve stays at its start, and nobody has taken anything of it.
    Before(SolveError),
    /// The step is one of the solve.
    After(SolveError),
}

struct EachStep<C>(C);

impl<F, C, const S: usize> Observer<F, S> for EachStep<C>
where
    F: VectorField,
    C: FnMut(&mut F, Step<&mut F::State, &mut [F::State; S]>) -> Result<(), SolveError>,
{
    #[inline]
    fn accepted(
        &mut self,
        field: &mut F,
        step: Step<&mut F::State, &mut [F::State; S]>,
        _: (f64, &F::State),
    ) -> Result<ControlFlow<()>, Halt> {
        let seen = self.0(field, step);
        seen.map(ControlFlow::Continue).map_err(Halt::After)
    }
}

/// A run of the loop, however it ended.
pub(crate) struct Run<Y> {
    /// Time that was reached.
    pub(crate) t: f64,
    /// The state there, with the counts.
    pub(crate) solved: Solved<Y>,
    /// `Continue` at the end of the span, `Break` where the observer ended the solve.
    pub(crate) finish: Result<ControlFlow<()>, SolveError>,
}

impl<Y> Run<Y> {
    /// A run without steps.
    pub(crate) fn unstarted(t: f64, y: Y, finish: Result<ControlFlow<()>, SolveError>) -> Self {
        let solved = Solved {
            y,
            field_calls: 0,
            accepted: 0,
            rejected: 0,
        };
        Self { t, solved, finish }
    }
}

/// A solve with whatever chooses its steps.
pub(crate) fn run<F: VectorField, O: Observer<F, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    options: &SolveOptions,
    observer: &mut O,
) -> Run<F::State> {
    match options.control {
        Control::Gradients { seed } if const { F::GUIDED } && options.is_adaptive() => {
            guided::run(field, tableau, y0, (options, seed), observer)
        }
        _ => run_loop(field, tableau, y0, options, observer),
    }
}

/// The loop itself, with everything that it reached.
#[allow(
    clippy::too_many_lines,
    reason = "one loop: attempt, judge, accept or shrink"
)]
pub(crate) fn run_loop<F: VectorField, O: Observer<F, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    options: &SolveOptions,
    observer: &mut O,
) -> Run<F::State> {
    let (t0, t1) = (options.t0, options.t1);
    let adaptive = !matches!(options.controller, Controller::Constant { .. });
    let d0 = match check(tableau, &y0, options) {
        Ok(d0) => d0,
        Err(error) => return Run::unstarted(t0, y0, Err(error)),
    };
    #[allow(
        clippy::float_cmp,
        reason = "the empty span is the one with equal ends"
    )]
    if t0 == t1 {
        return Run::unstarted(t0, y0, Ok(ControlFlow::Continue(())));
    }

    let tolerances = options.tolerances();
    let direction = (t1 - t0).signum();
    let floor = options.smallest_floor();
    let largest = if adaptive {
        options.dt_max.unwrap_or(f64::INFINITY)
    } else {
        f64::INFINITY
    };
    let legs = Legs::new(options);
    let (start, mut leg) = legs.next(legs.start(t0));
    if !legs.passes(start, leg.end) {
        // The span is a number or two, and the field jumps there.
        return Run::unstarted(t1, y0, Ok(ControlFlow::Continue(())));
    }
    let mut stepper = ExplicitRk::unstarted(field, tableau, start, y0);
    let (mut accepted, mut rejected) = (0, 0);
    // Equal steps stand at multiples of their size behind this time, which that many steps reached.
    let (mut origin, mut steps_to_origin) = (start, 0);
    let mut reach = Reach::new(start, leg.end, adaptive);
    let mut most = reach.of(largest);
    let mut size = match first_size(&mut stepper, d0, leg.clip(start, leg.end - start), options) {
        Ok(size) => size,
        Err(error) => {
            let mut run = Run::unstarted(t0, stepper.into_y(), Err(error));
            run.solved.field_calls = 1;
            return run;
        }
    };
    let mut control = StepControl::new(options.controller, tableau.order);
    let (mut last_square, mut last_h): (f64, f64) = (0.0, 0.0);
    let mut decay = f64::NAN;
    // The size with its sign. The next step waits for it, in a small system for nothing else, so that it comes from the
    // factor by one product; what bounds it is rare, and in branches that never select between two numbers.
    let mut signed = direction * size;
    let finish = loop {
        let t = stepper.t();
        if accepted + rejected == options.max_steps {
            let error = last_square.sqrt();
            break Err(too_many_steps(tableau, options, (t, last_h), error, decay));
        }
        // Below this the sum `t + h` may not differ from `t`.
        let smallest = resolution(t).max(floor);
        if adaptive && size < smallest {
            (size, signed) = rarely(smallest, direction);
        }
        // Nothing here waits for the size of the step.
        let remaining = (leg.end - t).abs();
        let cut = remaining > most;
        let limited = reach.of(size) >= if cut { largest } else { remaining };
        let mut h = signed;
        if limited {
            let part = if cut {
                equal_part(remaining, most)
            } else {
                remaining
            };
            (_, h) = rarely(part, direction);
        }
        let last = limited && !cut;
        let wanted = size;
        let mut memory = None;
        if last {
            h = leg.clip(t, h);
            memory = Some(control.memory());
        }
        let square = match stepper.attempt_squared(h, &tolerances) {
            Ok(square) => square,
            Err(error) => break Err(error),
        };
        (last_square, last_h) = (square, h);
        let verdict = control.judge(square);
        if accepted + rejected + 1 == options.max_steps && adaptive && !(last && verdict.accepted) {
            // Now, for an observer may take the stages.
            decay = stepper.decay(&tolerances).unwrap_or(f64::NAN);
        }
        signed = h * verdict.factor;
        size = signed.abs();
        let info = StepInfo {
            t,
            h,
            error: square.sqrt(),
            accepted: verdict.accepted,
        };
        if verdict.accepted {
            accepted += 1;
            let end = if last {
                leg.resume
            } else if adaptive {
                t + h
            } else {
                #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
                let steps = (accepted - steps_to_origin) as f64;
                origin + steps * h
            };
            let (field, step, y1) = stepper.accepted();
            let seen = observer.accepted(field, step, (end, y1));
            if let Err(Halt::Before(error)) = seen {
                accepted -= 1;
                break Err(error);
            }
            stepper.accept(end);
            let stopped = observer.attempted(&info).is_break();
            let ends = match seen {
                Ok(flow) => stopped || flow.is_break(),
                Err(Halt::Before(error) | Halt::After(error)) => break Err(error),
            };
            if ends {
                break Ok(ControlFlow::Break(()));
            }
            let (field, y, dy) = stepper.next_start();
            if let Err(error) = observer.go_on(field, end, y, dy) {
                break Err(error);
            }
            if last {
                if leg.then == Then::Done {
                    break Ok(ControlFlow::Continue(()));
                }
                let jumped = leg.then == Then::Restart;
                let resume;
                (resume, leg) = legs.next(end);
                if !legs.passes(resume, leg.end) {
                    break Ok(ControlFlow::Continue(()));
                }
                #[allow(clippy::float_cmp, reason = "equal unless a jump follows at once")]
                if jumped || resume != end {
                    if let Err(error) = stepper.restart(resume) {
                        break Err(error);
                    }
                }
                // The size of a step that was cut short, and its error, say nothing about the next one.
                size = size.max(wanted);
                signed = direction * size;
                if let Some(memory) = memory {
                    control.recall(memory);
                }
                (origin, steps_to_origin) = (resume, accepted);
                reach = Reach::new(resume, leg.end, adaptive);
                most = reach.of(largest);
            }
        } else {
            rejected += 1;
            if observer.attempted(&info).is_break() {
                break Ok(ControlFlow::Break(()));
            }
            if size < smallest || !adaptive {
                let sample = stepper.worst_sample(&tolerances);
                break Err(dead_end(&info, smallest, sample));
            }
        }
    };
    let done = matches!(finish, Ok(ControlFlow::Continue(())));
    Run {
        t: if done { t1 } else { stepper.t() },
        solved: Solved {
            field_calls: stepper.field_calls(),
            y: stepper.into_y(),
            accepted,
            rejected,
        },
        finish,
    }
}

/// Checks what can be checked before the first step, and returns the scaled norm of the initial state.
fn check<Y: State, const S: usize>(
    tableau: &ButcherTableau<S>,
    y0: &Y,
    options: &SolveOptions,
) -> Result<f64, SolveError> {
    options.validate_with(y0.epsilon(), tableau.name, tableau.adaptive())?;
    if y0.is_empty() {
        return Err(SolveError::EmptyBatch { shape: vec![0] });
    }
    if options.steps == StepSizes::PerSample && y0.samples() > 1 {
        return Err(SolveError::SharedStepsOnly {
            what: "a solve whose state is a batch",
        });
    }
    finite_norm(y0, y0, Quantity::InitialState, options)
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

/// Evaluates the field at the start, and gives the size of the first step; `d0` is the scaled norm of the initial
/// state, and nothing behind `limit`, the signed length of the first leg, is looked at.
fn first_size<F: VectorField, const S: usize>(
    stepper: &mut ExplicitRk<'_, F, S>,
    d0: f64,
    limit: f64,
    options: &SolveOptions,
) -> Result<f64, SolveError> {
    let t = stepper.t();
    stepper.restart(t)?;
    let d1 = finite_norm(stepper.dy(), stepper.y(), Quantity::VectorField, options)?;
    match (options.controller, options.dt0) {
        (Controller::Constant { dt }, _) => Ok(dt.min(options.dt_max.unwrap_or(dt))),
        (_, Some(dt0)) => Ok(dt0),
        (_, None) => {
            let order = stepper.order();
            let limit = match options.dt_max {
                Some(largest) if largest < limit.abs() => largest.copysign(limit),
                _ => limit,
            };
            stepper.probe(|field, y0, f0| {
                let tolerances = options.tolerances();
                initial_step(field, (t, limit), (y0, d0), (f0, d1), order, &tolerances)
            })
        }
    }
}

/// A size, and the same in the direction of the solve. Out of line, so that it stays in its branch.
#[cold]
#[inline(never)]
fn rarely(size: f64, direction: f64) -> (f64, f64) {
    (size, direction * size)
}

/// Why a solve is over that took all steps that it may take, the last of them to `t` and with a size of `h`, in which
/// something decayed or, if `decay` is NaN, nothing was seen.
#[cold]
fn too_many_steps<const S: usize>(
    tableau: &'static ButcherTableau<S>,
    options: &SolveOptions,
    (t, h): (f64, f64),
    error: f64,
    decay: f64,
) -> SolveError {
    let (t1, steps) = (options.t1, options.max_steps);
    let limit = stable_up_to(&tableau.view());
    if is_stiff(decay, limit, (t, t1), h, steps) {
        return SolveError::Stiff {
            t,
            t1,
            h,
            decay,
            limit,
            steps,
            sample: None,
        };
    }
    SolveError::MaxSteps {
        t,
        t1,
        h,
        error,
        steps,
        sample: None,
    }
}

/// Why a rejected step cannot be tried again with a smaller size.
fn dead_end(info: &StepInfo, minimum: f64, sample: Option<usize>) -> SolveError {
    let &StepInfo { t, h, error, .. } = info;
    if error.is_finite() {
        SolveError::StepTooSmall {
            t,
            h,
            minimum,
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
