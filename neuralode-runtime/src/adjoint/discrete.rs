//! The discrete adjoint: the exact derivative of the steps that were taken.
//!
//! With stages `k_i = f(t + c_i h, Y_i)`, `Y_i = y_n + h sum_j a_ij k_j` and `y_{n+1} = y_n + h sum_i b_i
//! k_i`, the cotangent `lambda` of `y_{n+1}` goes back, for `i = s, ..., 1`, through
//!
//! ```text
//! kbar_i = h (b_i lambda + sum_{j > i} a_ji Ybar_j)
//! Ybar_i = (df/dy(Y_i))^T kbar_i,   thetabar += (df/dtheta(Y_i))^T kbar_i
//! ```
//!
//! and `lambda_n = lambda + sum_i Ybar_i`. A first stage that the step before computed as its last is
//! treated as what it is, `f(t_n, y_n)`. Step sizes are constants here, as in diffrax and torchode: the
//! result is the gradient of the map that these steps define, not of the controller that chose them.
//!
//! # Sources
//! E. Hairer, G. Wanner, C. Lubich, "Geometric Numerical Integration", 2nd ed., Springer 2006, section
//! VI.6, doi:10.1007/3-540-30666-8; J. M. Sanz-Serna, "Symplectic Runge-Kutta schemes for adjoint
//! equations, automatic differentiation, optimal control, and more", SIAM Rev. 58 (2016) 3-33,
//! doi:10.1137/151002769.

use crate::{
    error::SolveError, state::State, stats::Stats, step::weighted, trajectory::Trajectory,
    vector_field::Differentiable,
};

use super::Pullback;

pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangent: F::State,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let tableau = trajectory.tableau();
    let zero = cotangent.zeros_like()?;
    let mut lambda = cotangent;
    let mut theta_bar = field.zero_params()?;
    let mut theta_stage = theta_bar.clone();
    let mut argument = zero.clone();
    let mut k_bar = zero.clone();
    let mut y_bars: [F::State; S] = core::array::from_fn(|_| zero.clone());
    let mut vjps = 0;

    for step in trajectory.steps().iter().rev() {
        // Stages whose cotangent is not zero by construction.
        let mut live = [false; S];
        for i in (0..S).rev() {
            let (_, later) = y_bars.split_at(i + 1);
            let later: [(f64, bool, Option<&F::State>); S] = core::array::from_fn(|j| {
                let y_bar = (j > i).then(|| later.get(j - i - 1)).flatten();
                (tableau.a[j][i], live[j], y_bar)
            });
            let through_stages = later
                .iter()
                .filter(|(a, live, _)| *live && *a != 0.0)
                .filter_map(|(a, _, y_bar)| y_bar.map(|y_bar| (step.h * a, y_bar)));
            live[i] = tableau.b[i] != 0.0 || through_stages.clone().next().is_some();
            if !live[i] {
                continue;
            }
            let through_end = (tableau.b[i] != 0.0).then_some((step.h * tableau.b[i], &lambda));
            zero.combine_into(through_end.into_iter().chain(through_stages), &mut k_bar)?;
            step.y.combine_into(
                weighted(step.h, &tableau.a[i][..i], &step.stages),
                &mut argument,
            )?;
            let t = step.h.mul_add(tableau.c[i], step.t);
            let (y_bar, theta_stage) = (&mut y_bars[i], &mut theta_stage);
            field.vjp(t, &argument, &k_bar, y_bar, theta_stage)?;
            vjps += 1;
            let sum = theta_bar.clone();
            sum.combine_into([(1.0, &*theta_stage)].into_iter(), &mut theta_bar)?;
        }
        let stages = y_bars.iter().zip(live).filter(|(_, live)| *live);
        let before = lambda.clone();
        before.combine_into(stages.map(|(y_bar, _)| (1.0, y_bar)), &mut lambda)?;
    }
    Ok(Pullback {
        y_bar: lambda,
        theta_bar,
        stats: Stats {
            vjps,
            ..Stats::default()
        },
    })
}
