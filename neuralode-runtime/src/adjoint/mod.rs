//! Gradients of a solve: from the cotangents of its saved values to those of `y0` and of the parameters.
//!
//! | adjoint | what it computes | cost | memory |
//! |---|---|---|---|
//! | [`discrete`] | the exact derivative of the accepted steps, their sizes held fixed | 6 VJPs per accepted step (Tsit5), one more per step with saved points inside | 8 states per step |
//! | [`interpolating`] | the continuous adjoint equations, solved backwards to the forward tolerances | 2 VJPs per segment between saved points, and 6 per step of the backward solves | 8 states per step |

pub mod discrete;
pub mod interpolating;

use crate::{
    error::{Quantity, SolveError},
    options::{Adjoint, SolveOptions},
    state::State,
    stats::Stats,
    step::Step,
    trajectory::Trajectory,
    vector_field::Differentiable,
};

/// The cotangent `dL/dy(t)` of the solution at a saved time.
#[derive(Clone, Debug)]
pub struct Cotangent<Y> {
    /// The saved time.
    pub t: f64,
    /// `dL/dy(t)`, of the shape of `y`.
    pub value: Y,
}

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

/// Pulls the cotangents of a solve's values back to `y0` and the parameters with the adjoint that
/// `options` names. `trajectory` holds the steps of that solve; the cotangent of its end value is the one at
/// `t1`. Several cotangents may have the same time.
///
/// # Errors
/// [`SolveError::NoTimes`], [`SolveError::TimeOutsideSpan`] and [`SolveError::UnorderedTimes`] for the times
/// of the cotangents, [`SolveError::NonFinite`] for a cotangent that is not finite, and whatever the
/// adjoint's own solve returns.
pub fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    options.validate_times(cotangents.iter().map(|cotangent| cotangent.t))?;
    let tolerances = options.tolerances();
    for Cotangent { t, value } in cotangents {
        if !F::State::scaled_norm(value, value, value, &tolerances)?.is_finite() {
            return Err(SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t: *t,
                h: 0.0,
                sample: F::State::worst_sample(value, value, value, &tolerances),
            });
        }
    }
    match options.adjoint {
        Adjoint::Discrete => discrete::pull_back(field, trajectory, cotangents, options),
        Adjoint::Interpolating => interpolating::pull_back(field, trajectory, cotangents, options),
    }
}

/// The cotangents that belong to each of `steps`, whose times lie in `(t, t + h]`; both are in the order of
/// the solve. A time that differs from a step's end by rounding alone belongs to that step, and nothing lies
/// behind the last one.
pub fn by_step<'c, Y, Z, K>(
    steps: &[Step<Z, K>],
    mut cotangents: &'c [Cotangent<Y>],
) -> Vec<&'c [Cotangent<Y>]> {
    let mut parts = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let count = if index + 1 == steps.len() {
            cotangents.len()
        } else {
            cotangents.partition_point(|cotangent| step.theta(cotangent.t) <= 1.0)
        };
        let (inside, later) = cotangents.split_at(count);
        parts.push(inside);
        cotangents = later;
    }
    parts
}

/// Adds the values of `cotangents` to `lambda`.
fn add_values<Y: State>(cotangents: &[Cotangent<Y>], lambda: &mut Y) -> Result<(), SolveError> {
    if cotangents.is_empty() {
        return Ok(());
    }
    let values = cotangents.iter().map(|cotangent| (1.0, &cotangent.value));
    lambda.clone().combine_into(values, lambda)
}
