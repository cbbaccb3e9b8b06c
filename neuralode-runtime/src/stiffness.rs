//! Whether it is stability that keeps the steps of a solve small, and not accuracy: then the field is stiff.
//!
//! Two stages of a step see the field in two states that lie near each other. Where something in the field decays much
//! faster than the solution moves, these states differ in just that, and the change of the field over the change of the
//! state is its rate:
//!
//! ```text
//! rate = -<k_i - k_j, Y_i - Y_j> / <Y_i - Y_j, Y_i - Y_j>
//! ```
//!
//! for the last two stages. An explicit method is stable for steps of a few times the inverse of the rate
//! ([`stable_up_to`]); the controller stops there, whatever the tolerances, and many steps are left.
//!
//! # Sources
//! E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", 2nd ed., Springer 1996, section IV.2, doi:
//! 10.1007/978-3-642-05221-7, for the two stages; here with the sign, so that a fast oscillation is none.

use crate::{
    error::SolveError,
    state::State,
    step::{weighted, Attempt},
    tableau::{ButcherTableau, TableauView},
};

/// The stage before the last one, whose state the last one's is compared with.
pub(crate) fn earlier_stage(evaluations: usize) -> usize {
    evaluations.saturating_sub(1)
}

/// The step's size times the rate of the fastest decay that its last two stages saw; NaN if they saw nothing.
pub(crate) fn decay<Y: State, const S: usize>(
    step: &Attempt<Y, S>,
    tableau: &ButcherTableau<S>,
) -> Result<f64, SolveError> {
    let earlier = earlier_stage(tableau.evaluations);
    let (Some(k), Some(last)) = (step.k.get(earlier), step.k.last()) else {
        return Ok(f64::NAN);
    };
    let mut state = step.y.unset();
    let weights = &tableau.a[earlier][..earlier];
    step.y
        .combine_into(weighted(step.h, weights, &step.k), &mut state)?;
    let (mut y, mut f) = (step.y.unset(), step.y.unset());
    step.y1.combine_into([(-1.0, &state)].into_iter(), &mut y)?;
    last.combine_into([(-1.0, k)].into_iter(), &mut f)?;
    Ok(ratio(
        step.h,
        [y.dot(&y)?, f.dot(&y)?, step.y1.dot(&step.y1)?],
        step.y.epsilon(),
    ))
}

/// The same by the products of the differences: of the states' with itself and with the field's, and of the state with
/// itself.
pub(crate) fn ratio(h: f64, [square, product, whole]: [f64; 3], epsilon: f64) -> f64 {
    let noise = 64.0 * epsilon;
    if square > noise * noise * whole {
        -h * (product / square)
    } else {
        f64::NAN
    }
}

/// The largest multiple of a decay's inverse rate that the method takes as a step without blowing it up: where its
/// stability function `R(-x)` leaves `[-1, 1]`.
pub(crate) fn stable_up_to(tableau: &TableauView) -> f64 {
    let mut k = vec![0.0; tableau.stages];
    let mut amplification = |x: f64| {
        let mut y: f64 = 1.0;
        for i in 0..tableau.stages {
            let argument: f64 = 1.0 + (0..i).map(|j| tableau.a(i, j) * k[j]).sum::<f64>();
            k[i] = if tableau.has_stage(i) { -x * argument } else { 0.0 };
            y += tableau.b[i] * k[i];
        }
        y.abs()
    };
    let steps = 1..=400_u32;
    let stable = steps.map(|i| f64::from(i) / 20.0);
    let last = stable.take_while(|x| amplification(*x) <= 1.0 + 1e-9).last();
    last.unwrap_or(0.0)
}

/// Whether a solve whose last step, of size `h`, ended at `t` was held up by stability: `decay` is near the method's
/// limit, and more steps are left than were taken.
pub(crate) fn is_stiff(decay: f64, limit: f64, (t, t1): (f64, f64), h: f64, steps: usize) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
    let taken = steps as f64;
    decay.is_finite() && decay >= 0.5 * limit && (t1 - t).abs() > taken * h.abs()
}

#[cfg(test)]
mod tests {
    use super::stable_up_to;
    use crate::Solver;

    #[test]
    fn the_real_stability_limits_are_those_of_the_books() {
        let known = [
            (Solver::Euler, 2.0),
            (Solver::Heun, 2.0),
            (Solver::Bosh3, 2.51),
            (Solver::Rk4, 2.78),
            (Solver::Dopri5, 3.31),
        ];
        for (solver, expected) in known {
            let found = stable_up_to(&solver.view());
            assert!((found - expected).abs() < 0.06, "{solver:?}: {found}");
        }
        for solver in Solver::ALL {
            assert!((2.0..20.0).contains(&stable_up_to(&solver.view())), "{solver:?}");
        }
    }
}
