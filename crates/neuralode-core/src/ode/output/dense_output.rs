//! Dense output whose type does not name the method that made it.

use crate::ode::{
    error::SolveError,
    method::{ButcherTableau, TableauView},
    state::State,
    step::{finite, nearest, weighted, Step},
};

/// The continuous solution through the accepted steps of a solve: a [`Trajectory`](crate::ode::trajectory::Trajectory)
/// for methods of any number of stages, with the same bits. In memory: one state per step and per stage of the method,
/// and one more per step.
#[derive(Clone, Debug)]
pub struct DenseOutput<Y> {
    tableau: TableauView,
    steps: Vec<Step<Y, Vec<Y>>>,
}

impl<Y: State> DenseOutput<Y> {
    /// Without steps yet, for solves with this tableau.
    pub(crate) fn new<const S: usize>(tableau: &'static ButcherTableau<S>) -> Self {
        Self {
            tableau: tableau.view(),
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
        let weights =
            self.tableau_weights(|view, weights| view.dense_weights(step.theta(t), weights));
        let mut out = step.y.unset();
        step.y
            .combine_into(weighted(step.h, &weights, &step.stages), &mut out)?;
        finite(&out, (t, step.h))?;
        Ok(Some(out))
    }

    /// The derivative by `t` there.
    pub(crate) fn derivative(&self, t: f64) -> Result<Option<Y>, SolveError> {
        let Some(step) = nearest(&self.steps, t) else {
            return Ok(None);
        };
        let weights = self.tableau_weights(|view, weights| {
            view.dense_derivative_weights(step.theta(t), weights);
        });
        let mut out = step.y.unset();
        step.y
            .zeros_like()?
            .combine_into(weighted(1.0, &weights, &step.stages), &mut out)?;
        finite(&out, (t, step.h))?;
        Ok(Some(out))
    }

    fn tableau_weights(&self, write: impl FnOnce(&TableauView, &mut [f64])) -> Vec<f64> {
        let mut weights = vec![0.0; self.tableau.stages];
        write(&self.tableau, &mut weights);
        weights
    }
}
