//! The accepted steps of a solve: dense output, and what adjoints need.

use crate::{
    ode::{
        error::SolveError,
        method::ButcherTableau,
        state::State,
        step::{finite, nearest, weighted, Step},
    },
    simd::pool,
};

/// Receives every accepted step of a solve.
pub trait Recorder<Y, const S: usize> {
    /// Called once per accepted step, in order. A recorder may take the state and all stages but the last,
    /// which is the next step's first ([`State::take`]), instead of copying them: nobody reads them later.
    ///
    /// # Errors
    /// [`SolveError`] ends the solve.
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError>;
}

/// Keeps nothing.
impl<Y, const S: usize> Recorder<Y, S> for () {
    fn record(&mut self, _: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        Ok(())
    }
}

impl<Y, R: Recorder<Y, S>, const S: usize> Recorder<Y, S> for &mut R {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        R::record(self, step)
    }
}

/// Records if there is a recorder.
impl<Y, R: Recorder<Y, S>, const S: usize> Recorder<Y, S> for Option<R> {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        self.as_mut()
            .map_or(Ok(()), |recorder| recorder.record(step))
    }
}

/// Records with both; only the second may take anything.
impl<Y, A: Recorder<Y, S>, B: Recorder<Y, S>, const S: usize> Recorder<Y, S> for (A, B) {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        self.0.record(Step {
            t: step.t,
            h: step.h,
            y: &mut *step.y,
            stages: &mut *step.stages,
        })?;
        self.1.record(step)
    }
}

/// The accepted steps of a solve in memory (`S + 1` states each), and the continuous solution through
/// them.
#[derive(Clone, Debug)]
pub struct Trajectory<Y: 'static, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    steps: Vec<Step<Y, [Y; S]>>,
}

impl<Y: State, const S: usize> Trajectory<Y, S> {
    /// Without steps yet, for solves with this tableau.
    pub fn new(tableau: &'static ButcherTableau<S>) -> Self {
        Self {
            tableau,
            steps: pool::take::<pool::States, _>(),
        }
    }

    /// The tableau with which the steps were made.
    pub fn tableau(&self) -> &'static ButcherTableau<S> {
        self.tableau
    }

    /// The accepted steps, in order.
    pub fn steps(&self) -> &[Step<Y, [Y; S]>] {
        &self.steps
    }

    /// Forgets all steps and keeps their list's memory.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
    }

    /// Makes room for exactly so many steps, where there is less.
    pub(crate) fn reserve(&mut self, steps: usize) {
        self.steps
            .reserve_exact(steps.saturating_sub(self.steps.len()));
    }

    /// How many steps begin strictly between `a` and `b`, and where the one in the middle of these does.
    pub(crate) fn knots_between(&self, a: f64, b: f64) -> (usize, f64) {
        let (low, high) = (a.min(b), a.max(b));
        let backward = self.steps.first().is_some_and(|step| step.h < 0.0);
        let (first, last) = if backward {
            (
                self.steps.partition_point(|step| step.t >= high),
                self.steps.partition_point(|step| step.t > low),
            )
        } else {
            (
                self.steps.partition_point(|step| step.t <= low),
                self.steps.partition_point(|step| step.t < high),
            )
        };
        let count = last.saturating_sub(first);
        let middle = self.steps.get(first + count / 2);
        (count, middle.map_or(a, |step| step.t))
    }

    /// Writes the solution at `t` into `out`; outside the span it extrapolates the nearest step. Without
    /// steps it writes nothing. Costs one combination of `S` stages, a look at its numbers and a search over the steps.
    ///
    /// # Errors
    /// [`SolveError::NotSolved`] for a time that is not finite, [`SolveError::NonFinite`] where the solution inside a
    /// step is not finite, and [`SolveError::Device`].
    pub fn evaluate(&self, t: f64, out: &mut Y) -> Result<(), SolveError> {
        match self.look_up(t, out)? {
            Some(step) => finite(out, (t, step.h)),
            None => Ok(()),
        }
    }

    /// [`Self::evaluate`] without the look at the numbers, for solves over the dense output, whose steps show them.
    pub(crate) fn look_up(
        &self,
        t: f64,
        out: &mut Y,
    ) -> Result<Option<&Step<Y, [Y; S]>>, SolveError> {
        let Some(step) = self.step_at(t)? else {
            return Ok(None);
        };
        let weights = self.tableau.dense_weights(step.theta(t));
        step.y
            .combine_into(weighted(step.h, &weights, &step.stages), out)?;
        Ok(Some(step))
    }

    /// Writes the derivative of the continuous solution at `t` into `out`, from the step that [`Self::evaluate`] takes
    /// the value from. It is of one order less than the value, and the field's own value at the ends of steps.
    ///
    /// # Errors
    /// Those of [`Self::evaluate`].
    pub fn derivative(&self, t: f64, out: &mut Y) -> Result<(), SolveError> {
        let Some(step) = self.step_at(t)? else {
            return Ok(());
        };
        let weights = self.tableau.dense_derivative_weights(step.theta(t));
        step.y
            .zeros_like()?
            .combine_into(weighted(1.0, &weights, &step.stages), out)?;
        finite(out, (t, step.h))
    }

    fn step_at(&self, t: f64) -> Result<Option<&Step<Y, [Y; S]>>, SolveError> {
        match (
            nearest(&self.steps, t),
            self.steps.first(),
            self.steps.last(),
        ) {
            (Some(_), Some(first), Some(last)) if !t.is_finite() => Err(SolveError::NotSolved {
                found: t,
                t0: first.t,
                t1: last.t + last.h,
            }),
            (step, _, _) => Ok(step),
        }
    }
}

impl<Y: 'static, const S: usize> Drop for Trajectory<Y, S> {
    fn drop(&mut self) {
        let mut steps = core::mem::take(&mut self.steps);
        steps.clear();
        pool::give::<pool::States, _>(steps);
    }
}

impl<Y: State, const S: usize> Recorder<Y, S> for Trajectory<Y, S> {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        let last = S.saturating_sub(1);
        let mut index = 0;
        let stages = step.stages.each_mut().map(|stage| {
            index += 1;
            if index <= last && self.tableau.has_stage(index - 1) {
                stage.take()
            } else {
                stage.clone()
            }
        });
        self.steps.push(Step {
            t: step.t,
            h: step.h,
            y: step.y.take(),
            stages,
        });
        Ok(())
    }
}
