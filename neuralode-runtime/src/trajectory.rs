//! The accepted steps of a solve: dense output, and what adjoints need.

use crate::{error::SolveError, state::State, step::weighted, tableau::ButcherTableau};

/// Receives every accepted step of a solve.
pub trait Recorder<Y, const S: usize> {
    /// Called once per accepted step, in order.
    ///
    /// # Errors
    /// [`SolveError`] ends the solve.
    fn record(&mut self, step: Step<&Y, &[Y; S]>) -> Result<(), SolveError>;
}

/// Keeps nothing.
impl<Y, const S: usize> Recorder<Y, S> for () {
    fn record(&mut self, _: Step<&Y, &[Y; S]>) -> Result<(), SolveError> {
        Ok(())
    }
}

impl<Y, R: Recorder<Y, S>, const S: usize> Recorder<Y, S> for &mut R {
    fn record(&mut self, step: Step<&Y, &[Y; S]>) -> Result<(), SolveError> {
        R::record(self, step)
    }
}

/// Records if there is a recorder.
impl<Y, R: Recorder<Y, S>, const S: usize> Recorder<Y, S> for Option<R> {
    fn record(&mut self, step: Step<&Y, &[Y; S]>) -> Result<(), SolveError> {
        self.as_mut()
            .map_or(Ok(()), |recorder| recorder.record(step))
    }
}

/// Records with both.
impl<Y, A: Recorder<Y, S>, B: Recorder<Y, S>, const S: usize> Recorder<Y, S> for (A, B) {
    fn record(&mut self, step: Step<&Y, &[Y; S]>) -> Result<(), SolveError> {
        self.0.record(step)?;
        self.1.record(step)
    }
}

/// One accepted step from `t` to `t + h`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Step<Y, K> {
    /// Time at its start.
    pub t: f64,
    /// Its size, negative backwards in time.
    pub h: f64,
    /// State at its start.
    pub y: Y,
    /// Its stages `k_i`.
    pub stages: K,
}

impl<Y, K> Step<Y, K> {
    /// Where `t` lies in this step: 0 at its start, 1 at its end.
    pub fn theta(&self, t: f64) -> f64 {
        (t - self.t) / self.h
    }
}

/// The accepted steps of a solve in memory (`S + 1` states each), and the continuous solution through
/// them.
#[derive(Clone, Debug)]
pub struct Trajectory<Y, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    steps: Vec<Step<Y, [Y; S]>>,
}

impl<Y: State, const S: usize> Trajectory<Y, S> {
    /// Without steps yet, for solves with this tableau.
    pub fn new(tableau: &'static ButcherTableau<S>) -> Self {
        Self {
            tableau,
            steps: Vec::new(),
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

    /// Writes the solution at `t` into `out`; outside the span it extrapolates the nearest step. Without
    /// steps it writes nothing. Costs one combination of `S` stages and a search over the steps.
    ///
    /// # Errors
    /// [`SolveError::Device`].
    pub fn evaluate(&self, t: f64, out: &mut Y) -> Result<(), SolveError> {
        let ended = self.steps.partition_point(|step| {
            let end = step.t + step.h;
            if step.h < 0.0 {
                end > t
            } else {
                end < t
            }
        });
        let Some(step) = self.steps.get(ended).or(self.steps.last()) else {
            return Ok(());
        };
        let weights = self.tableau.dense_weights(step.theta(t));
        step.y
            .combine_into(weighted(step.h, &weights, &step.stages), out)
    }
}

impl<Y: Clone, const S: usize> Recorder<Y, S> for Trajectory<Y, S> {
    fn record(&mut self, step: Step<&Y, &[Y; S]>) -> Result<(), SolveError> {
        self.steps.push(Step {
            t: step.t,
            h: step.h,
            y: step.y.clone(),
            stages: step.stages.clone(),
        });
        Ok(())
    }
}
