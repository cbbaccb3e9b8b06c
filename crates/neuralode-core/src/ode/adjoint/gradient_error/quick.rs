//! The cheap estimate, of one walk back or of several side by side.

use crate::ode::{
    adjoint::gradient_error::{kink_factor, SUSPICIOUS},
    field::back::StepNorms,
    method::signs::Signs,
    options::SolveOptions,
    state::larger,
};

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
    /// See [`kink_factor`].
    factor: f64,
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
    /// Before the first step on the way back, of a field with or without kinks.
    pub(crate) fn new(signs: &'s Signs, kinks: bool, options: &SolveOptions) -> Self {
        Self {
            signs,
            factor: kink_factor(kinks),
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
                self.relative[l] += if norms.inside[l] || !self.signs.weighs() {
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
            self.factor * y.max(theta)
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
        kinks: bool,
        options: &SolveOptions,
    ) -> Self {
        Self {
            quick: Quick::new(signs, kinks, options),
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
