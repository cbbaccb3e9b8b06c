//! Whether it is stability that keeps the steps of a solve small, and not accuracy: then the field is stiff.
//!
//! Two stages of a step see the field in two states that lie near each other. Where something in the field decays much
//! faster than the solution moves, the field changes between the two along just that. One more evaluation, a small way
//! `d` from the step's end in this direction, gives its rate:
//!
//! ```text
//! d    = k_i - k_j, scaled to the size of an allowed error
//! rate = -<d, f(t, y1 + d) - f(t, y1)> / <d, d>
//! ```
//!
//! for the last two stages, in the scales of the error. An explicit method is stable for steps of a few times the
//! inverse of the rate (`stable_up_to`); the controller stops there, whatever the tolerances, and many steps are left.
//! All of this happens once, when a solve has failed.
//!
//! # Sources
//! E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", 2nd ed., Springer 1996, section IV.2, doi:
//! 10.1007/978-3-642-05221-7, for the two stages; here with the sign, so that a fast oscillation is none, and one step
//! of the power method farther.

use crate::ode::{
    error::SolveError,
    method::{ButcherTableau, TableauView},
    options::Tolerances,
    state::State,
    step::Attempt,
};

/// The stage before the last one, whose state the last one's is compared with.
pub(crate) fn earlier_stage(evaluations: usize) -> usize {
    evaluations.saturating_sub(1)
}

/// The step's size times the rate of the fastest decay that its last two stages saw; NaN if they saw nothing. `eval` is
/// the field.
pub(crate) fn decay<Y: State, const S: usize>(
    step: &Attempt<Y, S>,
    tableau: &ButcherTableau<S>,
    tolerances: &Tolerances,
    mut eval: impl FnMut(f64, &Y, &mut Y) -> Result<(), SolveError>,
) -> Result<f64, SolveError> {
    let (Some(k), Some(last)) = (
        step.k.get(earlier_stage(tableau.evaluations)),
        step.k.last(),
    ) else {
        return Ok(f64::NAN);
    };
    let zero = step.y.zeros_like()?;
    let [mut aside, mut there, mut d, mut change] = core::array::from_fn(|_| zero.clone());
    let norm = |x: &Y| -> Result<f64, SolveError> {
        Ok(Y::scaled_square_sum(x, &step.y, &step.y1, tolerances)?.sqrt())
    };
    zero.combine_into([(step.h, last), (-step.h, k)].into_iter(), &mut change)?;
    let size = norm(&change)?;
    zero.combine_into([(1.0 / size, &change)].into_iter(), &mut d)?;
    step.y1.combine_into([(1.0, &d)].into_iter(), &mut aside)?;
    eval(step.t + step.h, &aside, &mut there)?;
    zero.combine_into([(step.h, &there), (-step.h, last)].into_iter(), &mut change)?;
    // A product by norms, of vectors of equal length, so that neither drowns in the other.
    let size = norm(&change)?;
    zero.combine_into([(1.0, &d), (1.0 / size, &change)].into_iter(), &mut aside)?;
    zero.combine_into([(1.0, &d), (-1.0 / size, &change)].into_iter(), &mut there)?;
    let (sum, difference) = (norm(&aside)?, norm(&there)?);
    Ok(-0.25 * size * (sum * sum - difference * difference))
}

/// The largest multiple of a decay's inverse rate that the method takes as a step without blowing it up: where its
/// stability function `R(-x)` leaves `[-1, 1]`.
pub fn stable_up_to(tableau: &TableauView) -> f64 {
    let mut k = vec![0.0; tableau.stages];
    let mut amplification = |x: f64| {
        let mut y: f64 = 1.0;
        for i in 0..tableau.stages {
            let argument: f64 = 1.0 + (0..i).map(|j| tableau.a(i, j) * k[j]).sum::<f64>();
            k[i] = if tableau.has_stage(i) {
                -x * argument
            } else {
                0.0
            };
            y += tableau.b[i] * k[i];
        }
        y.abs()
    };
    let steps = 1..=400_u32;
    let stable = steps.map(|i| f64::from(i) / 20.0);
    let last = stable
        .take_while(|x| amplification(*x) <= 1.0 + 1e-9)
        .last();
    last.unwrap_or(0.0)
}

/// Whether a solve whose last step, of size `h`, ended at `t` was held up by stability: `decay` is near the method's
/// limit, and more steps are left than were taken.
pub fn is_stiff(decay: f64, limit: f64, (t, t1): (f64, f64), h: f64, steps: usize) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "no solve takes 2^53 steps")]
    let taken = steps as f64;
    decay.is_finite() && decay >= 0.5 * limit && (t1 - t).abs() > taken * h.abs()
}

#[cfg(test)]
mod tests {
    use super::stable_up_to;
    use crate::ode::choices::Solver;

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
            assert!(
                (2.0..20.0).contains(&stable_up_to(&solver.view())),
                "{solver:?}"
            );
        }
    }
}
