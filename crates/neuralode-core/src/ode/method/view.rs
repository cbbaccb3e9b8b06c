//! A tableau as slices, for code that is compiled once for all numbers of stages.

use crate::ode::{
    choices::Solver,
    method::{signs::Signs, ButcherTableau, WithTableau},
};

/// [`ButcherTableau`] with its number of stages known at run time.
#[derive(Clone, Copy, Debug)]
pub struct TableauView {
    /// As [`ButcherTableau::name`].
    pub name: &'static str,
    /// As [`ButcherTableau::order`].
    pub order: usize,
    /// As [`ButcherTableau::evaluations`].
    pub evaluations: usize,
    /// Whether it estimates errors.
    pub adaptive: bool,
    /// Stages, the last one with them.
    pub stages: usize,
    /// As [`ButcherTableau::c`].
    pub c: &'static [f64],
    /// Row by row.
    a: &'static [f64],
    /// As [`ButcherTableau::b`].
    pub b: &'static [f64],
    /// As [`ButcherTableau::b_err`].
    pub b_err: &'static [f64],
    /// Row by row.
    pub dense: &'static [f64],
    /// As [`ButcherTableau::signs`].
    pub signs: &'static Signs,
}

impl<const S: usize> ButcherTableau<S> {
    /// The same as slices.
    pub const fn view(&'static self) -> TableauView {
        TableauView {
            name: self.name,
            order: self.order,
            evaluations: self.evaluations,
            adaptive: self.adaptive(),
            stages: S,
            c: &self.c,
            a: self.a.as_flattened(),
            b: &self.b,
            b_err: &self.b_err,
            dense: self.dense.as_flattened(),
            signs: &self.signs,
        }
    }
}

impl Solver {
    /// The method's tableau as slices.
    pub fn view(self) -> TableauView {
        struct View;
        impl WithTableau for View {
            type Output = TableauView;
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> TableauView {
                tableau.view()
            }
        }
        self.with_tableau(View)
    }
}

impl TableauView {
    /// See [`ButcherTableau::has_stage`].
    pub const fn has_stage(&self, index: usize) -> bool {
        index < self.evaluations || index + 1 == self.stages
    }

    /// The weight of stage `j` in the argument of stage `i`.
    pub const fn a(&self, i: usize, j: usize) -> f64 {
        self.a[i * self.stages + j]
    }

    /// The weights of the earlier stages in the argument of stage `i`.
    pub fn row(&self, i: usize) -> &'static [f64] {
        &self.a[i * self.stages..][..i]
    }

    /// Writes [`ButcherTableau::dense_weights`] into `weights`, one per stage.
    pub fn dense_weights(&self, theta: f64, weights: &mut [f64]) {
        interpolate(self.dense, theta, weights);
    }

    /// Writes [`ButcherTableau::dense_derivative_weights`] into `weights`, one per stage.
    pub fn dense_derivative_weights(&self, theta: f64, weights: &mut [f64]) {
        differentiate(self.dense, theta, weights);
    }
}

/// The weights of an interpolant with the coefficients `rows`, by ascending power of `theta` from 1, at `theta`.
///
/// A constant field takes the solution along a line: the weights' sum is `theta`. The coefficients are rounded, and
/// miss that by 40 units in the last place; the first stage takes up the difference.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the number of stages is known where it is inlined"
)]
pub(super) fn interpolate(rows: &[f64], theta: f64, weights: &mut [f64]) {
    weights.fill(0.0);
    for row in rows.rchunks_exact(weights.len().max(1)) {
        for (weight, coefficient) in weights.iter_mut().zip(row) {
            *weight = theta * *weight + coefficient;
        }
    }
    for weight in weights.iter_mut() {
        *weight *= theta;
    }
    make_sum(weights, theta);
}

/// The weights of its derivative, whose sum is 1.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the number of stages is known where it is inlined"
)]
pub(super) fn differentiate(rows: &[f64], theta: f64, weights: &mut [f64]) {
    weights.fill(0.0);
    let stages = weights.len().max(1);
    #[allow(clippy::cast_precision_loss, reason = "powers are small")]
    for (index, row) in rows.chunks_exact(stages).enumerate().rev() {
        let power = (index + 1) as f64;
        for (weight, coefficient) in weights.iter_mut().zip(row) {
            *weight = theta * *weight + power * coefficient;
        }
    }
    make_sum(weights, 1.0);
}

/// Changes the first weight so that all have this sum.
#[inline(always)]
#[allow(
    clippy::inline_always,
    reason = "the number of stages is known where it is inlined"
)]
fn make_sum(weights: &mut [f64], sum: f64) {
    if let Some((first, others)) = weights.split_first_mut() {
        *first += (sum - *first) - others.iter().sum::<f64>();
    }
}
