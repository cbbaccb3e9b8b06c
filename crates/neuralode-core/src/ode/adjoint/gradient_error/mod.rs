//! How wrong the gradient of a solve may be: an estimate of its relative error, from the steps that were taken.
//!
//! The controller chooses steps for which the *solution* is right. The solution's derivative can need smaller ones:
//! where the solution is at rest, or follows a slow forcing, steps grow beyond the method's region of stability and
//! nothing in `y` shows it. The discrete adjoint differentiates these steps exactly, so it inherits their error.
//!
//! # The estimate in full
//! The gradient is computed once more, over the same steps cut in half: a solve from the same `y0` with given steps,
//! and a walk back. With steps half as long a method of order `p` is `2^p` times as exact, so the distance of the two
//! gradients is the error of the first one. It sees all that steps can do: a derivative outside of the method's region
//! of stability, an integral over parameters that is too coarse, a solution that is another one than it should be.
//!
//! The result is the larger one of two ratios: the distance of the cotangents of `y0` over the larger one of that
//! cotangent and of those that were given, and the distance of the parameters' gradients over the sum of the sizes of
//! all steps' contributions. A gradient that is small because its parts cancel, as in a minimum, is no wrong one; and a
//! `dL/dy0` that is tiny beside the cotangents can be wrong in all its digits.
//!
//! It takes six evaluations per stage and step and twice the products of the walk. Where the cheap sign is over ten
//! times the distance, steps cut in three decide too: nine evaluations and three times the products more. Where each
//! sample has steps of its own, these are walked once more for its share of the parameters' gradient. It is made on
//! request ([`GradientCheck::Full`]) and where the cheap sign says that it is worth it.
//!
//! # The cheap sign
//! A step is a map `y + h sum b_i k_i`, and the embedded method gives the estimate `E = h sum e_i k_i` of its error.
//! The walk back ([`crate::ode::adjoint::discrete`]) has the cotangents `kbar_i` of all stages and `Ybar_i` of their
//! arguments. Weights `w_i` make `sum w_i Ybar_i` equal to the `(dE/dy)^T lambda` of a linear field up to the power
//! after the order; for other fields it is off by terms with small factors. So one combination per step, of numbers
//! that are in the first cache, estimates the error that the step adds to `lambda`. These parts, each relative to
//! `lambda` where it arises, are added up on the way back: in most cases more than the error.
//!
//! Where saved points inside a step take part in the `Ybar_i`, and for methods without such weights, the sign is the
//! polynomial of the error at `z = h |Ybar_1| / |kbar_1|`, the size of the Jacobian along the cotangent. In fields with
//! kinks, which embedded methods do not see, it counts tenfold. Above 0.03 the estimate is made in full. Steps that
//! grow tenfold one after the other to a large part of the span, as they do where the solution is at rest, are a sign
//! as well.
//!
//! # Continuous adjoints
//! They solve for `lambda` with a tolerance of their own, and the errors of these steps, added up, are the least that
//! their gradient's error is said to be; it is not known (NaN) with a method that estimates no error. Their sign is
//! another one: how much the product of the sizes of `lambda` and `y` grows in a sample on the way back, which is how
//! much an error of the solution grows until the cotangents see it, added up over the steps. Then the adjoint is solved
//! once more along a better solution, which is kept whole: that with halved steps, for `Backsolve` one at a 32nd of the
//! tolerances; given equal steps are halved on the way back too. The estimate is the distance of the cotangents of
//! `y0`; that of the parameters' gradients is not compared.
//!
//! `docs/numerics.md` has counts over random models.

mod cut;
mod quick;

pub(crate) use cut::{cut, full, relative, Gradient};
pub(crate) use quick::{LaneNorms, Quick, QuickWalk};

use crate::ode::{
    adjoint::Pullback,
    choices::GradientCheck,
    error::{Quantity, SolveError},
    options::SolveOptions,
    state::State,
};

/// The cheap sign above which an estimate in full is made.
pub const SUSPICIOUS: f64 = 0.03;

/// What a cheap estimate is multiplied by in a field with or without kinks. Cheap estimates take the field for smooth:
/// over a kink the error of a step falls with a lower power of its size, and is larger than they say. Ten is measured
/// (`docs/numerics.md`).
pub const fn kink_factor(kinks: bool) -> f64 {
    if kinks {
        10.0
    } else {
        1.0
    }
}

/// The root of the sum of the squares of norms.
pub(crate) fn together(cotangents: &[(f64, f64)]) -> f64 {
    let squares = cotangents.iter().map(|(_, norm)| norm * norm);
    squares.sum::<f64>().sqrt()
}

/// The least that the quick estimate says: steps that the error chose are known no better.
pub fn least(options: &SolveOptions) -> f64 {
    if options.is_adaptive() {
        options.rtol
    } else {
        0.0
    }
}

/// Whether the estimate in full is made, after the quick one.
pub(crate) fn wants_full<const L: usize>(
    quick: &Quick<'_, L>,
    l: usize,
    options: &SolveOptions,
) -> bool {
    options.gradient_check == GradientCheck::Full || quick.is_suspicious(l)
}

/// The gradient, or the error that it is not finite or not to be trusted. `lost` is the step at which it ceased to be
/// finite, where known.
pub(crate) fn judge<Y: State, P: State>(
    pulled: Pullback<Y, P>,
    lost: Option<(f64, f64)>,
    options: &SolveOptions,
) -> Result<Pullback<Y, P>, SolveError> {
    if !(pulled.y_bar.norm()?.is_finite() && pulled.theta_bar.norm()?.is_finite()) {
        let (t, h) = lost.unwrap_or((options.t0, 0.0));
        let y_bar = &pulled.y_bar;
        return Err(SolveError::NonFinite {
            quantity: Quantity::SolveGradient,
            t,
            h,
            sample: Y::worst_sample(y_bar, y_bar, y_bar, &options.tolerances()),
        });
    }
    check_limit(pulled.stats.gradient_error, None, options)?;
    Ok(pulled)
}

/// Checks an estimate against what the options allow.
///
/// # Errors
/// [`SolveError::GradientError`] above it.
pub fn check_limit(
    error: f64,
    sample: Option<usize>,
    options: &SolveOptions,
) -> Result<(), SolveError> {
    if error > options.gradient_error_max {
        return Err(SolveError::GradientError {
            error,
            limit: options.gradient_error_max,
            adjoint: options.adjoint,
            sample,
        });
    }
    Ok(())
}
