//! Gradients of the times of a solve.

use crate::ode::{
    adjoint::Pullback,
    error::SolveError,
    field::{back::Cotangent, VectorField},
    state::{alike, State},
    stats::Stats,
};

/// The derivatives of a loss by the times of a solve, each with all others held fixed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TimeGradients {
    /// `dL/dt0 = -<lambda(t0), f(t0, y0)>`: `y0` stays, and the solve starts later.
    pub t0: f64,
    /// `dL/dt_i = <dL/dy(t_i), f(t_i, y(t_i))>` for each saved time, in their order. `dL/dt1` is the one saved at `t1`.
    pub saved: Vec<f64>,
    /// What they cost: one call of the field per saved time, and one for `t0`.
    pub stats: Stats,
}

impl<Y: State, P> Pullback<Y, P> {
    /// The gradients of the times, on request: a training loop has no use for them. `cotangents` are those that were
    /// pulled back, `values` the solution at their times, and the solve began at `(t0, y0)`.
    ///
    /// They are those of the true solution, to the accuracy of `values` and of this pullback.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] unless there are as many values as cotangents; those of the field, and
    /// [`SolveError::Device`].
    pub fn time_gradients<F: VectorField<State = Y>>(
        &self,
        field: &mut F,
        (t0, y0): (f64, &Y),
        values: &[Y],
        cotangents: &[Cotangent<Y>],
    ) -> Result<TimeGradients, SolveError> {
        if values.len() != cotangents.len() {
            return Err(SolveError::ShapeMismatch {
                expected: vec![cotangents.len()],
                found: vec![values.len()],
            });
        }
        alike(y0, &self.y_bar)?;
        for (value, cotangent) in values.iter().zip(cotangents) {
            alike(y0, value)?;
            alike(y0, &cotangent.value)?;
        }
        let mut slope = y0.zeros_like()?;
        let mut along = |t: f64, y: &Y, cotangent: &Y| {
            field.eval(t, y, &mut slope)?;
            cotangent.dot(&slope)
        };
        let t0_bar = -along(t0, y0, &self.y_bar)?;
        let pairs = values.iter().zip(cotangents);
        let saved: Vec<f64> = pairs
            .map(|(y, cotangent)| along(cotangent.t, y, &cotangent.value))
            .collect::<Result<_, _>>()?;
        Ok(TimeGradients {
            t0: t0_bar,
            stats: Stats {
                field_calls: 1 + saved.len(),
                ..Stats::default()
            },
            saved,
        })
    }
}
