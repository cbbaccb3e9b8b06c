//! Gradients of a solve: from the cotangent of its end value to those of `y0` and of the parameters.
//!
//! | adjoint | what it computes | cost | memory |
//! |---|---|---|---|
//! | [`discrete`] | the exact derivative of the accepted steps, their sizes held fixed | 6 VJPs per accepted step (Tsit5) | 8 states per step |
//! | [`interpolating`] | the continuous adjoint equations, solved backwards to the forward tolerances | 2 VJPs, and 6 per step of the backward solve | 8 states per step |

pub mod discrete;
pub mod interpolating;

use crate::{
    error::{Quantity, SolveError},
    options::{Adjoint, SolveOptions},
    state::State,
    stats::Stats,
    trajectory::Trajectory,
    vector_field::Differentiable,
};

/// The result of an adjoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pullback<Y, P> {
    /// `dL/dy0`.
    pub y_bar: Y,
    /// `dL/dtheta`.
    pub theta_bar: P,
    /// What it cost.
    pub stats: Stats,
}

/// Pulls the cotangent `dL/dy1` of a solve back to `y0` and the parameters with the adjoint that
/// `options` names. `trajectory` holds the steps of that solve.
///
/// # Errors
/// [`SolveError::NonFinite`] for a cotangent that is not finite, and whatever the adjoint's own solve
/// returns.
pub fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangent: F::State,
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let tolerances = options.tolerances();
    let size = F::State::scaled_norm(&cotangent, &cotangent, &cotangent, &tolerances)?;
    if !size.is_finite() {
        return Err(SolveError::NonFinite {
            quantity: Quantity::Cotangent,
            t: options.t1,
            h: 0.0,
            sample: F::State::worst_sample(&cotangent, &cotangent, &cotangent, &tolerances),
        });
    }
    match options.adjoint {
        Adjoint::Discrete => discrete::pull_back(field, trajectory, cotangent),
        Adjoint::Interpolating => interpolating::pull_back(field, trajectory, cotangent, options),
    }
}
