//! The interpolating adjoint: the continuous adjoint equations over the forward solution's dense output.
//!
//! From `t1` back to `t0` it solves, with the method, controller and tolerances of the forward solve,
//!
//! ```text
//! dlambda/dt = -(df/dy)^T lambda,       lambda(t1) = dL/dy1
//! dmu/dt     = -(df/dtheta)^T lambda,   mu(t1) = 0
//! ```
//!
//! at `y(t)` from the interpolant; then `dL/dy0 = lambda(t0)` and `dL/dtheta = mu(t0)`. Both parts are in
//! the error norm, as in `SciMLSensitivity.jl`. The result is the gradient of the true solution, to the
//! tolerance, and differs from the discrete adjoint's by as much.
//!
//! # Sources
//! L. S. Pontryagin et al., "The Mathematical Theory of Optimal Processes", 1962; C. Rackauckas et al.,
//! "Universal Differential Equations for Scientific Machine Learning", arXiv:2001.04385, section on
//! interpolating adjoints.

use crate::{
    error::SolveError,
    options::SolveOptions,
    solve::solve,
    state::{Augmented, State},
    stats::Stats,
    trajectory::Trajectory,
    vector_field::{Differentiable, VectorField},
};

use super::Pullback;

/// The adjoint equations as a vector field.
struct AdjointField<'a, F: Differentiable, const S: usize> {
    field: &'a mut F,
    trajectory: &'a Trajectory<F::State, S>,
    y: F::State,
    negated: F::State,
    zero: F::State,
}

impl<F: Differentiable, const S: usize> VectorField for AdjointField<'_, F, S> {
    type State = Augmented<F::State, F::Params>;

    fn eval(&mut self, t: f64, at: &Self::State, d: &mut Self::State) -> Result<(), SolveError> {
        self.trajectory.evaluate(t, &mut self.y)?;
        self.zero
            .combine_into([(-1.0, &at.lambda)].into_iter(), &mut self.negated)?;
        self.field
            .vjp(t, &self.y, &self.negated, &mut d.lambda, &mut d.mu)
    }
}

pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangent: F::State,
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let mut backward = *options;
    core::mem::swap(&mut backward.t0, &mut backward.t1);
    // A first step chosen for the forward solve says nothing about the backward one.
    backward.dt0 = None;
    let start = Augmented {
        mu: field.zero_params()?,
        lambda: cotangent,
    };
    let zero = start.lambda.zeros_like()?;
    let mut adjoint_field = AdjointField {
        field,
        trajectory,
        y: zero.clone(),
        negated: zero.clone(),
        zero,
    };
    let solution = solve(
        &mut adjoint_field,
        trajectory.tableau(),
        start,
        &backward,
        &mut (),
    )?;
    Ok(Pullback {
        y_bar: solution.y.lambda,
        theta_bar: solution.y.mu,
        stats: Stats {
            vjps: solution.evaluations,
            accepted: solution.accepted,
            rejected: solution.rejected,
            ..Stats::default()
        },
    })
}
