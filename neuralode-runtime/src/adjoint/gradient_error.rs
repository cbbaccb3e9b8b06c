//! How wrong the gradient of a solve may be: an estimate of its relative error, from the steps that were taken.
//!
//! The controller chooses steps for which the *solution* is right. The solution's derivative can need smaller ones: where
//! the solution is at rest, or follows a slow forcing, steps grow beyond the method's region of stability and nothing in
//! `y` shows it. The derivative of such a step is not small or large by chance: it is wrong, and the discrete adjoint is
//! its exact derivative.
//!
//! # What is estimated
//! A step is a map `y + h sum b_i k_i`, and the embedded method gives the estimate `h sum e_i k_i` of its error. The
//! derivative of that estimate is an estimate of the error of the step's derivative. So the error of a gradient follows
//! from a second walk back beside the first one,
//!
//! ```text
//! epsilon_n = (dstep/dy)^T epsilon_{n+1} + (dE/dy)^T lambda_{n+1},   E = h sum e_i k_i
//! ```
//!
//! and the same for the parameters. The result is the larger one of `|epsilon_0|` over the larger one of `|lambda_0|` and
//! the cotangents that were given, and of the parameters' error over the sum of the sizes of all steps' contributions:
//! a gradient that is small because its parts cancel, as in a minimum, is no wrong one. It costs 13 products per step
//! for Tsit5, where the walk itself takes 6, and is made on request ([`GradientCheck::Full`]) and where a cheap sign says
//! that it is worth it.
//!
//! # The cheap sign
//! The walk back has the cotangents `Ybar_i` of all stages' arguments. Weights `w_i` make `sum w_i Ybar_i` equal to the
//! `(dE/dy)^T lambda` of a linear field, but for the power `h^s`; for other fields it is off by terms with small factors.
//! So one combination per step, of numbers that are in the first cache, estimates the error that the step adds to
//! `lambda`. These parts, each relative to `lambda` where it arises, are added up on the way back: a cheap upper estimate.
//! Where saved points inside a step take part in the `Ybar_i`, and for methods without such weights, the sign is the
//! polynomial of the error at `z = h |Ybar_1| / |kbar_1|`, the size of the Jacobian along the cotangent. Above
//! [`SUSPICIOUS`] the estimate is made in full.
//!
//! These signs see the error of the cotangent of `y`, and not that of an integral over time. Steps that grow tenfold one
//! after the other to a large part of the span, as they do where the solution is at rest, are a sign as well.
//!
//! # What is not
//! The gradient is taken along the solution that was computed. Where that is itself wrong, because the problem is
//! chaotic or the tolerance loose, this estimate does not know it. `docs/numerics.md` has measurements of both.

use crate::{
    error::{Quantity, SolveError},
    options::{GradientCheck, SolveOptions},
    state::{larger, State},
    step::{weighted, Step},
    tableau::{ButcherTableau, TableauView},
    vector_field::Differentiable,
};

use super::{add_values, Cotangent, Pullback};

/// A cheap sign above this leads to an estimate in full.
pub const SUSPICIOUS: f64 = 0.05;

/// Most stages of a method with a sign of its own.
const STAGES: usize = 17;

/// What a walk back leaves of every step: squares of Euclidean norms, over the whole batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StepNorms {
    /// Time at the step's start.
    pub t: f64,
    /// Its size, negative backwards in time.
    pub h: f64,
    /// Of `sum w_i Ybar_i` with [`Signs::weights`].
    pub error: f64,
    /// Of `kbar_1` and `Ybar_1`, the cotangents of the first stage and of its argument.
    pub first: [f64; 2],
    /// Of the cotangent of the state at the step's start.
    pub lambda: f64,
}

impl StepNorms {
    /// Those of a step, squares still to be added.
    pub fn new(t: f64, h: f64) -> Self {
        Self {
            t,
            h,
            ..Self::default()
        }
    }

    /// Adds the squares of another part of the batch.
    pub(crate) fn add(&mut self, other: &Self) {
        self.error += other.error;
        self.first[0] += other.first[0];
        self.first[1] += other.first[1];
        self.lambda += other.lambda;
    }
}

/// A walk back over steps: what it carries along, and what it leaves.
#[derive(Clone, Debug)]
pub struct WalkBack<Y, P> {
    /// The cotangent of the state, first after the last step, then before the first.
    pub lambda: Y,
    /// The cotangent of the parameters.
    pub theta_bar: P,
    /// One entry per step, in the order of the walk: the last step first.
    pub norms: Vec<StepNorms>,
}

/// What the cheap sign of a method needs.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The weights `w_i` of the stages, the last of which has none; all zero in a method without.
    pub weights: [f64; STAGES],
    /// Whether there are weights.
    weighs: bool,
    /// Absolute coefficients of `z, z^2, ..` in the error of a step of a linear field.
    step: [f64; STAGES],
    /// The same for points inside of steps.
    inside: [f64; STAGES],
    stages: usize,
}

impl Signs {
    /// Those of a method. Costs about a thousand operations.
    pub fn of<const S: usize>(tableau: &ButcherTableau<S>) -> Self {
        let (a, dense) = (tableau.a.as_flattened(), tableau.dense.as_flattened());
        let error = error_weights(&tableau.b, &tableau.b_err);
        Self::from_parts(tableau.order, (a, &tableau.b), &error, dense)
    }

    /// Those of a method as slices.
    pub(crate) fn of_view(tableau: &TableauView) -> Self {
        let error = tableau.gradient_error_weights();
        let parts = (tableau.matrix(), tableau.b);
        Self::from_parts(tableau.order, parts, &error, tableau.dense)
    }

    /// Those of a method given by its matrix and its interpolant, row by row, and its weights.
    fn from_parts(order: usize, (a, b): (&[f64], &[f64]), error: &[f64], dense: &[f64]) -> Self {
        let stages = b.len().min(STAGES);
        let mut signs = Self {
            weights: [0.0; STAGES],
            weighs: false,
            step: [0.0; STAGES],
            inside: [0.0; STAGES],
            stages,
        };
        if b.len() > STAGES {
            return signs;
        }
        let at = |i: usize, j: usize| a[i * stages + j];
        // Powers of the matrix on a vector of ones, from one side.
        let mut ones = [1.0; STAGES];
        let mut coefficients = [0.0; STAGES];
        let points = [0.25, 0.5, 0.75].map(|theta| inside_error(b, error, dense, theta));
        for k in 0..stages {
            let sum = |weights: &[f64]| -> f64 {
                (0..stages).map(|i| weights[i] * ones[i]).sum()
            };
            coefficients[k] = sum(error);
            signs.step[k] = coefficients[k].abs();
            signs.inside[k] = points.iter().map(|point| sum(point).abs()).fold(0.0, f64::max);
            let before = ones;
            for i in 0..stages {
                ones[i] = (0..i).map(|j| at(i, j) * before[j]).sum();
            }
        }
        // From the other side: the powers of the transposed matrix on `b`, made orthonormal one after the other. The
        // weights are the shortest ones whose products with the powers are the coefficients.
        let mut power = [0.0; STAGES];
        power[..stages].copy_from_slice(b);
        let mut basis = [[0.0; STAGES]; STAGES];
        let mut shares = [0.0; STAGES];
        let mut count = 0;
        for k in 0..stages.min(order + 1) {
            let mut row = power;
            row[stages - 1] = 0.0;
            let size = dot(&row, &row).sqrt();
            let mut left = coefficients[k];
            for _ in 0..2 {
                for (axis, share) in basis[..count].iter().zip(&shares) {
                    let along = dot(&row, axis);
                    left -= along * share;
                    for (x, axis) in row.iter_mut().zip(axis) {
                        *x -= along * axis;
                    }
                }
            }
            let rest = dot(&row, &row).sqrt();
            if rest <= 1e-10 * size || rest == 0.0 {
                break;
            }
            basis[count] = row.map(|x| x / rest);
            shares[count] = left / rest;
            count += 1;
            let before = power;
            for j in 0..stages {
                power[j] = (j + 1..stages).map(|i| at(i, j) * before[i]).sum();
            }
        }
        for (axis, share) in basis[..count].iter().zip(&shares) {
            for (weight, axis) in signs.weights.iter_mut().zip(axis) {
                *weight += share * axis;
            }
        }
        signs.weighs = signs.weights.iter().any(|weight| weight.abs() > 1e-12);
        signs
    }

    /// The error of a step of a linear field whose Jacobian times the step's size is `z`, with or without points inside.
    fn at(&self, z: f64, inside: bool) -> f64 {
        let mut sum = 0.0;
        for k in (0..self.stages).rev() {
            let coefficient = if inside {
                self.step[k] + self.inside[k]
            } else {
                self.step[k]
            };
            sum = z * (coefficient + sum);
        }
        sum
    }
}

/// Weights whose combination of the stages estimates the error of a step's derivative: those of the step's own error, or
/// in a method without an estimate a difference of its last stages at the end of the step, which is one order lower than
/// the method.
fn error_weights(b: &[f64], b_err: &[f64]) -> [f64; STAGES] {
    let mut weights = [0.0; STAGES];
    for (weight, error) in weights.iter_mut().zip(b_err) {
        *weight = *error;
    }
    let last = b.len().min(STAGES).saturating_sub(1);
    if b_err.iter().all(|error| *error == 0.0) {
        if let Some(i) = (0..last).rev().find(|i| b[*i] != 0.0) {
            let weight = b[i].min(0.5);
            (weights[i], weights[last]) = (-weight, weight);
        }
    }
    weights
}

impl TableauView {
    /// See [`error_weights`].
    fn gradient_error_weights(&self) -> [f64; STAGES] {
        error_weights(self.b, self.b_err)
    }
}

fn dot(a: &[f64; STAGES], b: &[f64; STAGES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Weights whose combination of the stages estimates the interpolant's error at `theta`: its difference from the cubic
/// through both ends, and the step's own error in proportion.
fn inside_error(b: &[f64], error: &[f64], dense: &[f64], theta: f64) -> [f64; STAGES] {
    let stages = b.len().min(STAGES);
    let mut weights = [0.0; STAGES];
    for row in dense.rchunks_exact(stages) {
        for (weight, coefficient) in weights.iter_mut().zip(row) {
            *weight = theta * (*weight + coefficient);
        }
    }
    let (square, cube) = (theta * theta, theta * theta * theta);
    for i in 0..stages {
        weights[i] += theta * error[i] - (3.0 * square - 2.0 * cube) * b[i];
    }
    weights[0] -= theta - 2.0 * square + cube;
    weights[stages - 1] -= cube - square;
    weights
}

/// Norms of a step in each of `L` walks side by side: squares, in f64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneNorms<const L: usize> {
    /// Time at the step's start.
    pub(crate) t: [f64; L],
    /// Its size; zero in walks that have no step now.
    pub(crate) h: [f64; L],
    /// See [`StepNorms`].
    pub(crate) error: [f64; L],
    pub(crate) first: [[f64; L]; 2],
    pub(crate) lambda: [f64; L],
    /// Whether saved points inside the step take part.
    pub(crate) inside: [bool; L],
}

/// The cheap estimates of `L` walks back side by side.
#[derive(Clone, Debug)]
pub(crate) struct Quick<'s, const L: usize> {
    signs: &'s Signs,
    /// Length of the solve.
    span: f64,
    /// Sum of the errors of the steps so far, each relative to the cotangent where it arises.
    relative: [f64; L],
    /// The same, as every step's contribution to the parameters sees it, times that contribution's size.
    weighted: [f64; L],
    weight: [f64; L],
    lambda: [f64; L],
    /// Sum of the squares of the cotangents that were given.
    given: [f64; L],
    /// Sizes of the two steps after the one at hand, the later one first.
    later: [[f64; L]; 2],
    /// Whether steps that grew tenfold led to one that is a large part of the span.
    grew: [bool; L],
    /// The first step on the way back whose cotangent is not finite: time and size.
    lost: [Option<(f64, f64)>; L],
}

impl<'s, const L: usize> Quick<'s, L> {
    /// Before the first step on the way back.
    pub(crate) fn new(signs: &'s Signs, options: &SolveOptions) -> Self {
        Self {
            signs,
            span: (options.t1 - options.t0).abs(),
            relative: [0.0; L],
            weighted: [0.0; L],
            weight: [0.0; L],
            lambda: [0.0; L],
            given: [0.0; L],
            later: [[0.0; L]; 2],
            grew: [false; L],
            lost: [None; L],
        }
    }

    /// Another walk begins in a lane.
    pub(crate) fn begin(&mut self, l: usize) {
        self.relative[l] = 0.0;
        self.weighted[l] = 0.0;
        self.weight[l] = 0.0;
        self.lambda[l] = 0.0;
        self.given[l] = 0.0;
        self.later[0][l] = 0.0;
        self.later[1][l] = 0.0;
        self.grew[l] = false;
        self.lost[l] = None;
    }

    /// A cotangent of this norm joins before the next step.
    pub(crate) fn give(&mut self, l: usize, norm: f64) {
        self.lambda[l] += norm;
        self.given[l] += norm * norm;
    }

    /// The next steps on the way back.
    pub(crate) fn step(&mut self, norms: &LaneNorms<L>) {
        for l in 0..L {
            let h = norms.h[l].abs();
            if h == 0.0 {
                continue;
            }
            let lambda = norms.lambda[l].sqrt();
            if !lambda.is_finite() && self.lost[l].is_none() {
                self.lost[l] = Some((norms.t[l], norms.h[l]));
            }
            let size = larger(lambda, self.lambda[l]);
            if size > 0.0 {
                self.relative[l] += if norms.inside[l] || !self.signs.weighs {
                    let [k_bar, y_bar] = [norms.first[0][l], norms.first[1][l]];
                    let z = if k_bar > 0.0 {
                        h * (y_bar / k_bar).sqrt()
                    } else {
                        0.0
                    };
                    self.signs.at(z, norms.inside[l])
                } else {
                    norms.error[l].sqrt() / size
                };
                self.weighted[l] += self.relative[l] * size * h;
                self.weight[l] += size * h;
            }
            self.lambda[l] = lambda;
            // The growth at an error of zero; the last step may be cut short.
            let [last, next] = [self.later[0][l], self.later[1][l]];
            self.grew[l] |= last >= 0.3 * self.span && last > 2.0 * next && next >= 9.999 * h;
            self.later[0][l] = next;
            self.later[1][l] = h;
        }
    }

    /// The estimate, infinite where a number is not finite.
    pub(crate) fn estimate(&self, l: usize) -> f64 {
        let given = self.given[l].sqrt();
        let scale = self.lambda[l].max(given);
        let y = if scale > 0.0 {
            self.relative[l] * (self.lambda[l] / scale)
        } else {
            0.0
        };
        let theta = if self.weight[l] > 0.0 {
            self.weighted[l] / self.weight[l]
        } else {
            0.0
        };
        if y.is_finite() && theta.is_finite() {
            y.max(theta)
        } else {
            f64::INFINITY
        }
    }

    /// Whether an estimate in full is worth it.
    pub(crate) fn is_suspicious(&self, l: usize) -> bool {
        self.grew[l] || self.estimate(l) > SUSPICIOUS
    }

    /// The first step on the way back whose cotangent is not finite: time and size.
    pub(crate) fn lost(&self, l: usize) -> Option<(f64, f64)> {
        self.lost[l]
    }
}

/// The cheap estimate of one walk over a whole batch.
#[derive(Clone, Debug)]
pub(crate) struct QuickWalk<'s> {
    pub(crate) quick: Quick<'s, 1>,
    /// Times and norms of the cotangents that no step has met yet, in the order of the solve.
    cotangents: &'s [(f64, f64)],
}

impl<'s> QuickWalk<'s> {
    /// Before the first step on the way back; `cotangents` are times and norms of all, in the order of the solve.
    pub(crate) fn new(
        signs: &'s Signs,
        cotangents: &'s [(f64, f64)],
        options: &SolveOptions,
    ) -> Self {
        Self {
            quick: Quick::new(signs, options),
            cotangents,
        }
    }

    /// The next steps on the way back.
    pub(crate) fn pass(&mut self, norms: &[StepNorms]) {
        for step in norms {
            let mut inside = false;
            while let Some(((t, norm), earlier)) = self.cotangents.split_last() {
                // A time after the last step differs from its end by rounding.
                let theta = (t - step.t) / step.h;
                if theta <= 0.0 {
                    break;
                }
                inside |= theta < 1.0;
                self.quick.give(0, *norm);
                self.cotangents = earlier;
            }
            self.quick.step(&LaneNorms {
                t: [step.t],
                h: [step.h],
                error: [step.error],
                first: step.first.map(|square| [square]),
                lambda: [step.lambda],
                inside: [inside],
            });
        }
    }

    /// After the last step on the way back: what is left belongs to the start.
    pub(crate) fn end(&mut self) {
        for (_, norm) in core::mem::take(&mut self.cotangents) {
            self.quick.give(0, *norm);
        }
    }
}

/// The estimate in full: a walk back with two cotangents, step by step through the field's products.
#[derive(Debug)]
pub(crate) struct Full<Y, P> {
    lambda: Y,
    epsilon: Y,
    theta_error: P,
    /// Sum of the sizes of the contributions to the parameters' gradient.
    theta_size: f64,
    y_bars: Vec<Y>,
    error_bars: Vec<Y>,
    k_bar: Y,
    argument: Y,
    zero: Y,
    product: P,
    sum: P,
    pub(crate) vjps: usize,
}

impl<Y: State, P: State> Full<Y, P> {
    /// Begins after the last step with the cotangent of the end state.
    pub(crate) fn new(lambda: Y, zero: &P, stages: usize) -> Result<Self, SolveError> {
        let zero_state = lambda.zeros_like()?;
        Ok(Self {
            lambda,
            epsilon: zero_state.clone(),
            theta_error: zero.clone(),
            theta_size: 0.0,
            y_bars: vec![zero_state.clone(); stages],
            error_bars: vec![zero_state.clone(); stages],
            k_bar: zero_state.clone(),
            argument: zero_state.clone(),
            zero: zero_state,
            product: zero.clone(),
            sum: zero.clone(),
            vjps: 0,
        })
    }

    /// Goes back over a step of these stages with its cotangents, in the order of the solve.
    pub(crate) fn step<F>(
        &mut self,
        field: &mut F,
        tableau: &TableauView,
        step: &Step<&Y, &[Y]>,
        cotangents: &[Cotangent<Y>],
    ) -> Result<(), SolveError>
    where
        F: Differentiable<State = Y, Params = P> + ?Sized,
    {
        let ends = cotangents.partition_point(|cotangent| step.theta(cotangent.t) < 1.0);
        let (inside, at_end) = cotangents.split_at(ends);
        add_values(at_end, &mut self.lambda)?;
        let (stages, error) = (tableau.stages, tableau.gradient_error_weights());
        let error = &error[..stages];
        let mut points = Vec::with_capacity(inside.len());
        for saved in inside {
            let theta = step.theta(saved.t);
            let mut weights = vec![0.0; stages];
            tableau.dense_weights(theta, &mut weights);
            let errors = inside_error(tableau.b, error, tableau.dense, theta);
            points.push((weights, errors, &saved.value));
        }
        let total: f64 = tableau.b.iter().map(|b| b.abs()).sum();
        let h = step.h;
        let mut live = [[false; STAGES]; 2];
        for i in (0..stages).rev().filter(|i| tableau.has_stage(*i)) {
            step.y.combine_into(
                weighted(h, tableau.row(i), &step.stages[..i]),
                &mut self.argument,
            )?;
            let t = h.mul_add(tableau.c[i], step.t);
            for second in [false, true] {
                let (bars, live) = if second {
                    (&mut self.error_bars, &mut live[1])
                } else {
                    (&mut self.y_bars, &mut live[0])
                };
                let alive = *live;
                let (now, later) = bars.split_at_mut(i + 1);
                let through_stages = (i + 1..stages)
                    .filter(|j| alive[*j] && tableau.a(*j, i) != 0.0)
                    .filter_map(|j| later.get(j - i - 1).map(|bar| (h * tableau.a(j, i), bar)));
                let through_points = points.iter().map(|(dense, errors, value)| {
                    (h * if second { errors[i] } else { dense[i] }, *value)
                });
                let through_end = if second {
                    [
                        (h * tableau.b[i], &self.epsilon),
                        (h * error[i], &self.lambda),
                    ]
                } else {
                    [(h * tableau.b[i], &self.lambda), (0.0, &self.lambda)]
                };
                let terms = through_end
                    .into_iter()
                    .chain(through_points)
                    .chain(through_stages)
                    .filter(|(weight, _)| *weight != 0.0);
                live[i] = terms.clone().next().is_some();
                let Some(now) = now.last_mut().filter(|_| live[i]) else {
                    continue;
                };
                self.zero.combine_into(terms, &mut self.k_bar)?;
                field.vjp(t, &self.argument, &self.k_bar, now, &mut self.product)?;
                self.vjps += 1;
                if second {
                    let terms = [(1.0, &self.product)].into_iter();
                    self.theta_error.combine_into(terms, &mut self.sum)?;
                    core::mem::swap(&mut self.theta_error, &mut self.sum);
                } else {
                    self.theta_size += self.product.norm()? / total;
                }
            }
        }
        for (of, bars, live) in [
            (&mut self.epsilon, &self.error_bars, live[1]),
            (&mut self.lambda, &self.y_bars, live[0]),
        ] {
            let bars = bars.iter().zip(live).filter(|(_, live)| *live);
            let before = of.clone();
            before.combine_into(bars.map(|(bar, _)| (1.0, bar)), of)?;
        }
        let values = points.iter().map(|(_, _, value)| (1.0, *value));
        let before = self.lambda.clone();
        before.combine_into(values, &mut self.lambda)
    }

    /// The estimate, given the norm of all cotangents together and that of the parameters' gradient.
    pub(crate) fn estimate(&self, given: f64, theta: f64) -> Result<f64, SolveError> {
        let y = ratio(self.epsilon.norm()?, self.lambda.norm()?.max(given));
        let theta = ratio(self.theta_error.norm()?, self.theta_size.max(theta));
        Ok(if y.is_finite() && theta.is_finite() {
            y.max(theta)
        } else {
            f64::INFINITY
        })
    }
}

/// `a / b`, and zero for an error of zero.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 {
        0.0
    } else {
        a / b
    }
}

/// The root of the sum of the squares of norms.
pub(crate) fn together(cotangents: &[(f64, f64)]) -> f64 {
    let squares = cotangents.iter().map(|(_, norm)| norm * norm);
    squares.sum::<f64>().sqrt()
}

/// The least that the quick estimate says: steps that the error chose are known no better.
pub(crate) fn least(options: &SolveOptions) -> f64 {
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

/// The error of an estimate above what the options allow.
pub(crate) fn check_limit(
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
