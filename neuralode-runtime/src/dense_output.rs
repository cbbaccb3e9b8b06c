//! Dense output whose type does not name the method that made it.

use crate::{
    error::SolveError,
    state::State,
    step::{nearest, weighted, Step},
    tableau::ButcherTableau,
};

/// The continuous solution through the accepted steps of a solve: a [`Trajectory`](crate::trajectory::Trajectory) for
/// methods of any number of stages, with the same bits. In memory: one state per step and per stage of the method, and
/// one more per step.
#[derive(Clone, Debug)]
pub struct DenseOutput<Y> {
    /// The interpolant's coefficients, one row per power of `theta` from 1, one column per stage.
    rows: &'static [f64],
    columns: usize,
    steps: Vec<Step<Y, Vec<Y>>>,
}

impl<Y: State> DenseOutput<Y> {
    /// Without steps yet, for solves with this tableau.
    pub(crate) fn new<const S: usize>(tableau: &'static ButcherTableau<S>) -> Self {
        Self {
            rows: tableau.dense.as_flattened(),
            columns: S,
            steps: Vec::new(),
        }
    }

    /// Takes a copy of an accepted step.
    pub(crate) fn push<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &Step<&mut Y, &mut [Y; S]>,
    ) {
        let stages = step.stages.iter().enumerate();
        self.steps.push(Step {
            t: step.t,
            h: step.h,
            y: step.y.clone(),
            stages: stages
                .map(|(index, stage)| {
                    if tableau.has_stage(index) {
                        stage.clone()
                    } else {
                        stage.nothing()
                    }
                })
                .collect(),
        });
    }

    /// Number of steps.
    pub fn steps(&self) -> usize {
        self.steps.len()
    }

    /// The solution at `t`, or nothing without steps; outside of them it extrapolates the nearest one.
    pub(crate) fn value(&self, t: f64) -> Result<Option<Y>, SolveError> {
        let Some(step) = nearest(&self.steps, t) else {
            return Ok(None);
        };
        let theta = step.theta(t);
        let weights = self.weights(theta, |_| 1.0);
        let weights: Vec<_> = weights.into_iter().map(|weight| weight * theta).collect();
        let mut out = step.y.unset();
        step.y
            .combine_into(weighted(step.h, &weights, &step.stages), &mut out)?;
        Ok(Some(out))
    }

    /// The derivative by `t` there.
    pub(crate) fn derivative(&self, t: f64) -> Result<Option<Y>, SolveError> {
        let Some(step) = nearest(&self.steps, t) else {
            return Ok(None);
        };
        let weights = self.weights(step.theta(t), |power| power);
        let mut out = step.y.unset();
        step.y
            .zeros_like()?
            .combine_into(weighted(1.0, &weights, &step.stages), &mut out)?;
        Ok(Some(out))
    }

    /// One polynomial in `theta` per stage, from its constant term on, with coefficients `factor(power)` times those of
    /// the interpolant.
    fn weights(&self, theta: f64, factor: impl Fn(f64) -> f64) -> Vec<f64> {
        let mut weights = vec![0.0; self.columns];
        #[allow(clippy::cast_precision_loss, reason = "powers are small")]
        for (power, row) in self.rows.chunks_exact(self.columns).enumerate().rev() {
            let factor = factor((power + 1) as f64);
            for (weight, coefficient) in weights.iter_mut().zip(row) {
                *weight = theta.mul_add(*weight, factor * coefficient);
            }
        }
        weights
    }
}
