//! The interpolating adjoint: the continuous adjoint equations over the forward solution's dense output.
//!
//! From `t1` back to `t0` it solves, with the method, controller and tolerances of the forward solve,
//!
//! ```text
//! dlambda/dt = -(df/dy)^T lambda,       lambda(t1) = dL/dy1
//! dmu/dt     = -(df/dtheta)^T lambda,   mu(t1) = 0
//! ```
//!
//! at `y(t)` from the interpolant; at every saved time on the way `lambda` jumps by the cotangent saved there,
//! and the solve starts anew. Then `dL/dy0 = lambda(t0)` and `dL/dtheta = mu(t0)`. Both parts are in
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

use super::{add_values, Cotangent, Pullback};

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

/// `cotangents` is not empty, and in the order of the solve that `options` describe.
pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let Some((last, earlier)) = cotangents.split_last() else {
        return Err(SolveError::NoTimes);
    };
    let mut at = Augmented {
        mu: field.zero_params()?,
        lambda: last.value.clone(),
    };
    let zero = at.lambda.zeros_like()?;
    let mut adjoint_field = AdjointField {
        field,
        trajectory,
        y: zero.clone(),
        negated: zero.clone(),
        zero,
    };
    let mut segment = *options;
    // A first step chosen for the forward solve says nothing about the backward ones.
    segment.dt0 = None;
    // Behind the last saved point, `lambda` is zero and nothing has gathered.
    segment.t0 = last.t;
    let mut stats = Stats::default();
    let stops = earlier.iter().rev().map(|saved| (saved.t, Some(saved)));
    for (t, saved) in stops.chain([(options.t0, None)]) {
        segment.t1 = t;
        let solution = solve(
            &mut adjoint_field,
            trajectory.tableau(),
            at,
            &segment,
            &mut (),
        )?;
        stats += Stats {
            vjps: solution.evaluations,
            accepted: solution.accepted,
            rejected: solution.rejected,
            ..Stats::default()
        };
        at = solution.y;
        if let Some(saved) = saved {
            add_values(core::slice::from_ref(saved), &mut at.lambda)?;
        }
        segment.t0 = t;
    }
    Ok(Pullback {
        y_bar: at.lambda,
        theta_bar: at.mu,
        stats,
    })
}
