//! The size of the first step.

use crate::ode::{error::SolveError, field::VectorField, options::Tolerances, state::State};

/// The starting step size of Hairer, Norsett and Wanner for a solve from `t`, at most `|span|`, whose sign is the
/// direction; always positive.
///
/// Compares the scaled norms `d0` of `y0`, `d1` of `f0 = f(t, y0)` and that of the change of `f` over one
/// explicit Euler step, which costs one evaluation of the field.
///
/// # Sources
/// E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", 2nd ed., Springer
/// 1993, section II.4, doi:10.1007/978-3-540-78862-1; with the exponent `1 / order` that diffrax,
/// torchdiffeq and OrdinaryDiffEq.jl use.
pub(crate) fn initial_step<F: VectorField>(
    field: &mut F,
    (t, span): (f64, f64),
    (y0, d0): (&F::State, f64),
    (f0, d1): (&F::State, f64),
    order: usize,
    tolerances: &Tolerances,
) -> Result<f64, SolveError> {
    let direction = span.signum();
    let span = span.abs();
    let h0 = probe_size(d0, d1, span);

    let mut y = y0.clone();
    y0.combine_into([(direction * h0, f0)].into_iter(), &mut y)?;
    let mut change = f0.clone();
    field.eval(t + direction * h0, &y, &mut change)?;
    let f1 = change.clone();
    f1.combine_into([(-1.0, f0)].into_iter(), &mut change)?;
    let d2 = F::State::scaled_norm(&change, y0, y0, tolerances)? / h0;

    Ok(first_size(h0, larger(d1, d2), order, span))
}

/// The larger one of the scaled norms of the first and the second derivative; infinite if the second one is not finite.
pub(crate) fn larger(d1: f64, d2: f64) -> f64 {
    if d2.is_finite() {
        d1.max(d2)
    } else {
        f64::INFINITY
    }
}

/// How far the rule looks ahead, given the scaled norms of the state and its derivative.
pub(crate) fn probe_size(d0: f64, d1: f64, span: f64) -> f64 {
    let h0 = if d0 < 1e-5 || d1 < 1e-5 {
        1e-6
    } else {
        0.01 * d0 / d1
    };
    h0.min(span)
}

/// What the rule finds there: `largest` is what [`larger`] says.
pub(crate) fn first_size(h0: f64, largest: f64, order: usize, span: f64) -> f64 {
    let h1 = if largest <= 1e-15 {
        f64::max(1e-6, 1e-3 * h0)
    } else {
        #[allow(clippy::cast_precision_loss, reason = "orders are small")]
        let exponent = 1.0 / order as f64;
        (0.01 / largest).powf(exponent)
    };
    let h = f64::min(100.0 * h0, h1).min(span);
    // A field that is not finite one Euler step away is met again, and reported, by the loop.
    if h.is_finite() && h > 0.0 {
        h
    } else {
        h0
    }
}
