//! The interpolating adjoint: the continuous adjoint equations over the forward solution's dense output.
//!
//! From `t1` back to `t0` it solves, with the method, controller and relative tolerance of the forward solve,
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
//! # Cost
//! With a method of `s` stages that reuses its last one, `2 + (s - 1) * (accepted + rejected)` products per interval
//! between saved points (one less for equal steps), no call of the field, and the forward solve's steps in memory:
//! `s + 1` states each.
//!
//! # Order
//! For equal steps of size `h` the gradient's error is `O(h^min(p, q + 1))`, with a method of order `p` and an
//! interpolant of order `q`: the equations see `y(t)` with the interpolant's error, `O(h^(q + 1))` everywhere, and pass
//! it on as it is. For Tsit5 that is 5: its interpolant of order 4 costs no order.
//!
//! # Sources
//! L. S. Pontryagin et al., "The Mathematical Theory of Optimal Processes", 1962; C. Rackauckas et al.,
//! "Universal Differential Equations for Scientific Machine Learning", arXiv:2001.04385, section on
//! interpolating adjoints.

use crate::ode::{
    adjoint::{
        reverse::{solve_back, start, Reverse},
        Continuous, Pullback,
    },
    error::SolveError,
    field::{back::Cotangent, Differentiable},
    options::SolveOptions,
    trajectory::Trajectory,
};

/// `cotangents` is not empty, and in the order of the solve that `options` describe.
pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
) -> Result<Continuous<F::State, F::Params>, SolveError> {
    let Some(last) = cotangents.last() else {
        return Err(SolveError::NoTimes);
    };
    let mu = field.zero_params()?;
    let start = start(last.value.clone(), Some(mu.clone()));
    let mut reverse = Reverse::new(field, Some(trajectory), &last.value)?;
    let tableau = trajectory.tableau();
    let at = solve_back(&mut reverse, tableau, start, cotangents, options, &mut ())?;
    let amplifies = reverse.amplifies(options);
    let pullback = Pullback {
        y_bar: at.lambda,
        theta_bar: at.mu.unwrap_or(mu),
        stats: reverse.stats,
    };
    Ok((pullback, amplifies))
}
