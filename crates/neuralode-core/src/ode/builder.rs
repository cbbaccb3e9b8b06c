//! Solving one differential equation with everything around it: output, events, stops, hooks, and what a failing solve
//! still gives.
//!
//! [`Solve`] is a builder around the loop of [`crate::ode::solve::record`]. Output comes from the dense output of the
//! accepted steps, which no saved time and no event shortens.

use core::{fmt, ops::ControlFlow};
use std::borrow::Cow;

use crate::ode::{
    adjoint::Kept,
    error::SolveError,
    field::VectorField,
    method::{ButcherTableau, WithTableau},
    options::SolveOptions,
    output::{
        dense_output::DenseOutput,
        events::{Event, Occurrence, Watch},
        saved_points::SavedPoints,
    },
    resolution::{resolution, within},
    solve::{run, Halt, Observer},
    state::State,
    stats::Stats,
    step::Step,
    trajectory::Recorder,
};

pub use crate::ode::solve::StepInfo;

/// Which values of a solution are saved: any of its start, its end, given times, the end of every step, and the dense
/// output.
///
/// Values are saved in the order of the solve. A time that several of these name is there once; one that is given twice
/// is there twice.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent choices, not a state"
)]
pub struct SaveAt {
    /// Whether the initial state is saved.
    pub start: bool,
    /// Whether the state at the end is saved: at `t1`, at a terminal event, or where a hook ended the solve.
    pub end: bool,
    /// Times at which the solution is saved, in the order of the solve.
    pub times: Vec<f64>,
    /// Whether the state at the end of every accepted step is saved.
    pub steps: bool,
    /// Whether the dense output is kept: `S + 1` states per step.
    pub dense: bool,
}

impl SaveAt {
    /// Nothing but what every solution has: its last time and state.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// The state at the end.
    pub fn end() -> Self {
        Self {
            end: true,
            ..Self::default()
        }
    }

    /// The solution at these times, in the order of the solve, and nothing else.
    pub fn times(times: &[f64]) -> Self {
        Self::nothing().with_times(times)
    }

    /// The initial state as well.
    #[must_use]
    pub fn with_start(mut self) -> Self {
        self.start = true;
        self
    }

    /// The solution at these times as well, in the order of the solve.
    #[must_use]
    pub fn with_times(mut self, times: &[f64]) -> Self {
        self.times = times.to_vec();
        self
    }

    /// The state at the end of every accepted step as well.
    #[must_use]
    pub fn with_every_step(mut self) -> Self {
        self.steps = true;
        self
    }

    /// The dense output as well, for [`Solution::at`] and [`Solution::derivative_at`].
    #[must_use]
    pub fn with_dense(mut self) -> Self {
        self.dense = true;
        self
    }
}

/// Why a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// At the end of its span.
    AtEnd,
    /// At a terminal event, the last of [`Solution::events`].
    AtEvent,
    /// By [`Solve::on_step`].
    ByHook,
    /// By an error; the solution is what came before it.
    ByError,
}

/// What a solve gave.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Solution<Y> {
    /// Time at which it ended.
    pub t: f64,
    /// State at that time.
    pub y: Y,
    /// What it cost.
    pub stats: Stats,
    /// Why it ended.
    pub ended: Ended,
    /// Saved times, in the order of the solve.
    pub times: Vec<f64>,
    /// The solution at them.
    pub values: Vec<Y>,
    /// The events that happened, in the order of the solve.
    pub events: Vec<Occurrence<Y>>,
    /// The dense output, if it was asked for.
    pub dense: Option<DenseOutput<Y>>,
    /// The span that was asked for.
    span: (f64, f64),
}

impl<Y: State> Solution<Y> {
    /// The solution at `t`, from the dense output; a time beyond an end of the span by rounding alone is that end.
    /// Costs a search over the steps and one combination of the stages.
    ///
    /// # Errors
    /// [`SolveError::NoDenseOutput`], [`SolveError::NotSolved`] for a time before the start or behind the end,
    /// [`SolveError::NonFinite`] where the solution inside a step is not finite, and [`SolveError::Device`].
    #[allow(clippy::float_cmp, reason = "the end itself")]
    pub fn at(&self, t: f64) -> Result<Y, SolveError> {
        let (dense, t) = self.dense_over(t)?;
        let value = match dense.value(t) {
            // The end is a state of the solve, whatever the field is there.
            Err(SolveError::NonFinite { .. }) if t == self.t => return Ok(self.y.clone()),
            value => value?,
        };
        // A solve without steps is at its start.
        Ok(value.unwrap_or_else(|| self.y.clone()))
    }

    /// The derivative of the dense output at `t`: `f(t, y(t))`, to one order less than the solution. At a jump of the
    /// field it is the one before it.
    ///
    /// # Errors
    /// Those of [`Solution::at`], of which a solution without steps has [`SolveError::NoDenseOutput`].
    pub fn derivative_at(&self, t: f64) -> Result<Y, SolveError> {
        let (dense, t) = self.dense_over(t)?;
        dense.derivative(t)?.ok_or(SolveError::NoDenseOutput)
    }

    /// The dense output with the time that `t` means.
    fn dense_over(&self, t: f64) -> Result<(&DenseOutput<Y>, f64), SolveError> {
        let dense = self.dense.as_ref().ok_or(SolveError::NoDenseOutput)?;
        let meant = within(t, self.span);
        let (t0, _) = self.span;
        if (t0.min(self.t)..=t0.max(self.t)).contains(&meant) {
            Ok((dense, meant))
        } else {
            Err(SolveError::NotSolved {
                found: t,
                t0,
                t1: self.t,
            })
        }
    }
}

/// A solve that failed, with what it gave before.
pub struct Failure<Y> {
    /// Why it failed.
    pub error: SolveError,
    /// Everything up to the last accepted step.
    pub partial: Box<Solution<Y>>,
}

impl<Y> fmt::Debug for Failure<Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("error", &self.error)
            .field("t", &self.partial.t)
            .field("stats", &self.partial.stats)
            .finish_non_exhaustive()
    }
}

impl<Y> fmt::Display for Failure<Y> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (solved up to t = {})", self.error, self.partial.t)
    }
}

impl<Y> std::error::Error for Failure<Y> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

impl<Y> From<Failure<Y>> for SolveError {
    fn from(failure: Failure<Y>) -> Self {
        failure.error
    }
}

/// A solve in the making: `dy/dt = f(t, y)` from `y0` over the span of its options.
///
/// # Examples
/// A ball that falls until it meets the ground, and where it is on the way:
/// ```
/// use neuralode_core::{
///     ode::{output::events::Event, Ended, SaveAt, Solve},
///     FnField, SolveError, SolveOptions,
/// };
///
/// let mut fall = FnField::new(|_t, [_height, speed]: &[f64; 2]| [*speed, -9.81]);
/// let options = SolveOptions::new(0.0, 10.0, 1e-9, 1e-9);
/// let solution = Solve::new(&mut fall, [20.0, 0.0], &options)
///     .save_at(SaveAt::end().with_times(&[0.5, 1.0]).with_dense())
///     .event(Event::new(|_t, y: &[f64; 2]| y[0]).falling().terminal())
///     .run()?;
/// assert_eq!(solution.ended, Ended::AtEvent);
/// assert!((solution.t - (2.0 * 20.0 / 9.81_f64).sqrt()).abs() < 1e-9);
/// assert_eq!(solution.times, [0.5, 1.0, solution.t]);
/// assert!((solution.values[1][0] - (20.0 - 0.5 * 9.81)).abs() < 1e-9);
/// assert!((solution.at(1.5)?[1] + 1.5 * 9.81).abs() < 1e-9);
/// # Ok::<(), SolveError>(())
/// ```
/// A failing solve keeps what came before: `dy/dt = y^2` from 1 has a pole at `t = 1`.
/// ```
/// use neuralode_core::{
///     ode::{SaveAt, Solve},
///     FnField, SolveError, SolveOptions,
/// };
///
/// let mut field = FnField::new(|_t, [y]: &[f64; 1]| [y * y]);
/// let options = SolveOptions::new(0.0, 2.0, 1e-6, 1e-6);
/// let failure = Solve::new(&mut field, [1.0], &options)
///     .save_at(SaveAt::times(&[0.5, 1.5]))
///     .run()
///     .unwrap_err();
/// assert!(matches!(failure.error, SolveError::StepTooSmall { .. } | SolveError::NonFinite { .. }));
/// assert!((failure.partial.t - 1.0).abs() < 1e-3);
/// assert_eq!(failure.partial.times, [0.5]);
/// assert!((failure.partial.values[0][0] - 2.0).abs() < 1e-4);
/// ```
#[must_use = "a solve does nothing until it runs"]
pub struct Solve<'a, F: VectorField> {
    field: &'a mut F,
    y0: F::State,
    options: Cow<'a, SolveOptions>,
    save_at: SaveAt,
    events: Vec<Event<'a, F::State>>,
    on_step: Option<Box<dyn FnMut(&StepInfo) -> ControlFlow<()> + 'a>>,
    progress: Option<Box<dyn FnMut(f64) + 'a>>,
}

impl<F: VectorField> fmt::Debug for Solve<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Solve")
            .field("options", &self.options)
            .field("save_at", &self.save_at)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl<'a, F: VectorField> Solve<'a, F> {
    /// A solve that gives its end state.
    pub fn new(field: &'a mut F, y0: F::State, options: &'a SolveOptions) -> Self {
        Self {
            field,
            y0,
            options: Cow::Borrowed(options),
            save_at: SaveAt::end(),
            events: Vec::new(),
            on_step: None,
            progress: None,
        }
    }

    /// Saves these values of the solution.
    pub fn save_at(mut self, save_at: SaveAt) -> Self {
        self.save_at = save_at;
        self
    }

    /// Ends a step at each of these times, which ascend: [`SolveOptions::step_at`].
    pub fn step_at(mut self, times: &[f64]) -> Self {
        self.options.to_mut().step_at = Cow::Owned(times.to_vec());
        self
    }

    /// Starts anew at each of these times, which ascend, and at which the field jumps: [`SolveOptions::jump_at`].
    pub fn jump_at(mut self, times: &[f64]) -> Self {
        self.options.to_mut().jump_at = Cow::Owned(times.to_vec());
        self
    }

    /// Watches for one more event.
    pub fn event(mut self, event: Event<'a, F::State>) -> Self {
        self.events.push(event);
        self
    }

    /// Calls `hook` after every attempted step, accepted or not. The solve ends, with what was accepted, when it
    /// returns `Break`.
    pub fn on_step(mut self, hook: impl FnMut(&StepInfo) -> ControlFlow<()> + 'a) -> Self {
        self.on_step = Some(Box::new(hook));
        self
    }

    /// Calls `report` after every accepted step with the part of the span that is solved, in `0.0..=1.0`.
    pub fn progress(mut self, report: impl FnMut(f64) + 'a) -> Self {
        self.progress = Some(Box::new(report));
        self
    }

    /// Solves with the method of the options.
    ///
    /// # Errors
    /// A [`Failure`] with what was solved before it and the errors of [`crate::ode::solve::record`]; those of
    /// [`SolveOptions::validate_times`] for the times to save; [`SolveError::NonFinite`] for an event whose function is
    /// NaN, and where the solution inside a step is not finite at a saved time or an event;
    /// [`SolveError::InvalidSetting`] for an event that is looked at too often. What was solved ends before a step in
    /// which an event's function or a saved value fails.
    pub fn run(self) -> Result<Solution<F::State>, Failure<F::State>> {
        struct ByMethod<'a, F: VectorField>(Solve<'a, F>);
        impl<F: VectorField> WithTableau for ByMethod<'_, F> {
            type Output = Result<Solution<F::State>, Failure<F::State>>;
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
                self.0.run_with(tableau)
            }
        }
        self.options.solver.with_padded_tableau(ByMethod(self))
    }

    /// Solves with the method of this tableau, which takes the place of the options' one.
    ///
    /// # Errors
    /// Those of [`Solve::run`].
    pub fn run_with<const S: usize>(
        self,
        tableau: &'static ButcherTableau<S>,
    ) -> Result<Solution<F::State>, Failure<F::State>> {
        self.run_recording(tableau, &mut ())
    }

    /// Solves with the method of this tableau and keeps what the adjoint of the options needs: for gradients of the
    /// saved values, of the end, and of the events ([`Occurrence::pull_back`]).
    ///
    /// # Errors
    /// Those of [`Solve::run`], and [`SolveError::CheckpointBudget`].
    pub fn run_keeping<const S: usize>(
        self,
        tableau: &'static ButcherTableau<S>,
    ) -> Result<(Solution<F::State>, Kept<F::State, S>), Failure<F::State>> {
        let mut kept = Kept::new(tableau, &self.options);
        let solution = self.run_recording(tableau, &mut kept)?;
        kept.finish(&solution.times, &solution.values);
        kept.finish(&[solution.t], core::slice::from_ref(&solution.y));
        for event in &solution.events {
            kept.finish(&[event.t], core::slice::from_ref(&event.y));
        }
        Ok((solution, kept))
    }

    fn run_recording<R: Recorder<F::State, S>, const S: usize>(
        self,
        tableau: &'static ButcherTableau<S>,
        recorder: &mut R,
    ) -> Result<Solution<F::State>, Failure<F::State>> {
        let Self {
            field,
            y0,
            options,
            save_at,
            events,
            on_step,
            progress,
        } = self;
        let mut output = Output {
            tableau,
            span: (options.t0, options.t1),
            left: SavedPoints::new(&save_at.times, &options),
            steps: save_at.steps,
            saved: Saved::default(),
            dense: save_at.dense.then(|| DenseOutput::new(tableau)),
            watch: Watch::new(events),
            event: false,
            recorder,
            on_step,
            progress,
        };
        let times = if save_at.times.is_empty() {
            Ok(())
        } else {
            options.validate_times(save_at.times.iter().copied())
        };
        if let Err(error) = times.and_then(|()| output.watch.validate()) {
            return Err(Failure {
                error,
                partial: Box::new(output.solution(
                    (options.t0, y0),
                    Stats::default(),
                    Ended::ByError,
                )),
            });
        }
        if save_at.start {
            output.saved.at_own(options.t0, &y0);
        }
        let run = run(field, tableau, y0, &options, &mut output);
        let stats = run.solved.stats();
        let ended = match &run.finish {
            Ok(ControlFlow::Continue(())) => Ended::AtEnd,
            Ok(ControlFlow::Break(())) if output.event => Ended::AtEvent,
            Ok(ControlFlow::Break(())) => Ended::ByHook,
            Err(_) => Ended::ByError,
        };
        let (t, y) = match output.watch.found.last() {
            Some(event) if ended == Ended::AtEvent => (event.t, event.y.clone()),
            _ => (run.t, run.solved.y),
        };
        let started = ended != Ended::ByError || stats.accepted > 0;
        if started {
            // The time of an event is known to a few units in the last place.
            let noise = match ended {
                Ended::AtEvent => 0.5 * resolution(t),
                _ => 0.0,
            };
            for reached in output.left.reached(t, noise) {
                output.saved.at_given(*reached, y.clone());
            }
        }
        // A given time that rounding alone sets apart from an event's is the end already.
        let passed = |last: &f64| (t - last) * (options.t1 - options.t0).signum() < 0.0;
        let at_end = output.saved.times.last().is_some_and(passed);
        if save_at.end && ended != Ended::ByError && !at_end {
            output.saved.at_own(t, &y);
        }
        let solution = output.solution((t, y), stats, ended);
        match run.finish {
            Ok(_) => Ok(solution),
            Err(error) => Err(Failure {
                error,
                partial: Box::new(solution),
            }),
        }
    }
}

/// The saved values so far.
struct Saved<Y> {
    times: Vec<f64>,
    values: Vec<Y>,
    /// Whether the last one was saved for another reason than a given time.
    own: bool,
}

impl<Y> Default for Saved<Y> {
    fn default() -> Self {
        Self {
            times: Vec::new(),
            values: Vec::new(),
            own: false,
        }
    }
}

impl<Y: Clone> Saved<Y> {
    /// Saves the value at a given time.
    fn at_given(&mut self, t: f64, value: Y) {
        if !(self.own && self.times.last() == Some(&t)) {
            self.times.push(t);
            self.values.push(value);
        }
        self.own = false;
    }

    /// Saves the value at the start, the end or a step's end.
    fn at_own(&mut self, t: f64, value: &Y) {
        if self.times.last() != Some(&t) {
            self.times.push(t);
            self.values.push(value.clone());
            self.own = true;
        }
    }
}

/// What a solve gives, while it runs.
struct Output<'o, 'a, Y: State, R, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    span: (f64, f64),
    left: SavedPoints<'o>,
    steps: bool,
    saved: Saved<Y>,
    dense: Option<DenseOutput<Y>>,
    watch: Watch<'a, Y>,
    /// Whether a terminal event ended the solve.
    event: bool,
    recorder: &'o mut R,
    on_step: Option<Box<dyn FnMut(&StepInfo) -> ControlFlow<()> + 'a>>,
    progress: Option<Box<dyn FnMut(f64) + 'a>>,
}

impl<Y: State, R, const S: usize> Output<'_, '_, Y, R, S> {
    fn solution(self, (t, y): (f64, Y), stats: Stats, ended: Ended) -> Solution<Y> {
        Solution {
            t,
            y,
            stats,
            ended,
            times: self.saved.times,
            values: self.saved.values,
            events: self.watch.found,
            dense: self.dense,
            span: self.span,
        }
    }
}

impl<Y: State, R, const S: usize> Output<'_, '_, Y, R, S> {
    /// The events of a step, and the values at the times in it; the part of it before a terminal event.
    fn watch_and_save(
        &mut self,
        step: &mut Step<&mut Y, &mut [Y; S]>,
        end: (f64, &Y),
    ) -> Result<Option<f64>, SolveError> {
        let last = self.watch.step(self.tableau, step, (end, self.span.1))?;
        let (saved, part) = (&mut self.saved, last.unwrap_or(1.0));
        self.left.pass(self.tableau, step, part, |t, value| {
            saved.at_given(t, value);
        })?;
        self.event = last.is_some();
        Ok(last)
    }
}

impl<F, R, const S: usize> Observer<F, S> for Output<'_, '_, F::State, R, S>
where
    F: VectorField,
    R: Recorder<F::State, S>,
{
    fn accepted(
        &mut self,
        _: &mut F,
        mut step: Step<&mut F::State, &mut [F::State; S]>,
        end: (f64, &F::State),
    ) -> Result<ControlFlow<()>, Halt> {
        let saved_before = self.saved.times.len();
        let found_before = self.watch.found.len();
        let last = match self.watch_and_save(&mut step, end) {
            Ok(last) => last,
            Err(error) => {
                // Nothing of this step is left.
                self.saved.times.truncate(saved_before);
                self.saved.values.truncate(saved_before);
                self.watch.found.truncate(found_before);
                return Err(Halt::Before(error));
            }
        };
        let end_of_step = match self.watch.found.last() {
            Some(event) if last.is_some() => (event.t, &event.y),
            _ => end,
        };
        if self.steps {
            self.saved.at_own(end_of_step.0, end_of_step.1);
        }
        if let Some(progress) = &mut self.progress {
            let (t0, t1) = self.span;
            progress(((end_of_step.0 - t0) / (t1 - t0)).clamp(0.0, 1.0));
        }
        if let Some(dense) = &mut self.dense {
            dense.push(self.tableau, &step);
        }
        self.recorder.record(step).map_err(Halt::After)?;
        Ok(if last.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    }

    fn attempted(&mut self, info: &StepInfo) -> ControlFlow<()> {
        match &mut self.on_step {
            Some(hook) => hook(info),
            None => ControlFlow::Continue(()),
        }
    }
}
