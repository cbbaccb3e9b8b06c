//! The parameters' integral of the adjoints that solve for `lambda` alone: Gauss-Kronrod quadrature with an error
//! control of its own.
//!
//! A piece of the integral is computed by two rules of which the larger one has all nodes of the smaller one. Their
//! difference estimates the error of the smaller one, and the larger one's value is taken. A piece whose error is more
//! than its share of `rtol (s + |mu|)` in the root mean square over the parameters is halved, and its halves take the
//! rule with 7 and 15 nodes; `s` is the largest root mean square so far of the integral or of a piece of it, so that a
//! factor of the loss changes no piece. Shares go by the root of the length: a jump of the integrand, as the kinks of a
//! field are, has an error that shrinks with the length of its piece, and would never be within a share that does too.
//!
//! The forward solution that the integrand reads is smooth within its steps, and shows there how fast the problem
//! moves. A piece never has more than a few ends of forward steps inside, and is halved at one of them first.
//!
//! # Sources
//! R. Piessens et al., "QUADPACK", Springer 1983, doi:10.1007/978-3-642-61786-7. Nodes and weights: D. P. Laurie,
//! "Calculation of Gauss-Kronrod quadrature rules", Math. Comput. 66 (1997) 1133-1145,
//! doi:10.1090/S0025-5718-97-00861-2.

use crate::ode::{
    error::{Quantity, SolveError},
    options::Tolerances,
    resolution::resolution,
    state::State,
};

/// Most pieces that are tried between two saved points, or in one reverse step, besides one for every forward step
/// there.
pub const PIECES: usize = 1000;

/// Two nested rules on `-1..1`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    /// Nodes that are not negative, the largest first, with the weights of the larger and of the smaller rule. The last
    /// one is 0.
    half: &'static [(f64, f64, f64)],
    /// Most ends of forward steps inside a piece.
    knots: usize,
}

/// 3 and 7 nodes.
const RULE_7: Rule = Rule {
    half: &[
        (0.960_491_268_708_020_3, 0.104_656_226_026_467_27, 0.0),
        (0.774_596_669_241_483_4, 0.268_488_089_868_333_44, 5.0 / 9.0),
        (0.434_243_749_346_802_6, 0.401_397_414_775_962_2, 0.0),
        (0.0, 0.450_916_538_658_474_1, 8.0 / 9.0),
    ],
    knots: 1,
};

/// 7 and 15 nodes.
pub(super) const RULE_15: Rule = Rule {
    half: &[
        (0.991_455_371_120_812_6, 0.022_935_322_010_529_225, 0.0),
        (
            0.949_107_912_342_758_5,
            0.063_092_092_629_978_55,
            0.129_484_966_168_869_7,
        ),
        (0.864_864_423_359_769_1, 0.104_790_010_322_250_18, 0.0),
        (
            0.741_531_185_599_394_4,
            0.140_653_259_715_525_92,
            0.279_705_391_489_276_67,
        ),
        (0.586_087_235_467_691_1, 0.169_004_726_639_267_9, 0.0),
        (
            0.405_845_151_377_397_2,
            0.190_350_578_064_785_4,
            0.381_830_050_505_118_9,
        ),
        (0.207_784_955_007_898_47, 0.204_432_940_075_298_9, 0.0),
        (0.0, 0.209_482_141_084_727_82, 0.417_959_183_673_469_4),
    ],
    knots: 3,
};

impl Rule {
    /// The rule that takes fewer evaluations in all at this tolerance, on steps that suit it.
    pub(super) fn at(rtol: f64) -> Self {
        if rtol < 1e-5 {
            RULE_15
        } else {
            RULE_7
        }
    }

    /// Nodes in order, with the weights of the larger rule and the differences of both rules' weights.
    fn nodes(self) -> impl Iterator<Item = (f64, f64, f64)> {
        let left = self.half.iter().map(|(x, k, g)| (-x, *k, k - g));
        let right = self.half.iter().rev().skip(1);
        left.chain(right.map(|(x, k, g)| (*x, *k, k - g)))
    }
}

/// What is integrated.
pub(super) trait Integrand<P> {
    /// Its value at `t`.
    fn at(&mut self, t: f64) -> Result<&P, SolveError>;

    /// The ends of forward steps strictly between two times, by their number and the one in the middle.
    fn knots(&self, a: f64, b: f64) -> (usize, f64);
}

/// The integral so far, and what computing it takes.
#[derive(Debug)]
pub(super) struct Integral<P> {
    rule: Rule,
    rtol: f64,
    zero: P,
    /// The sum of all pieces.
    pub(super) total: P,
    /// Of one piece: the larger rule, and its difference from the smaller one.
    value: P,
    error: P,
    next: P,
    /// See the module.
    size: f64,
    /// Sum of the scaled errors of the pieces.
    errors: f64,
    /// What is left, with the rule to try there.
    pieces: Vec<(f64, f64, Rule)>,
}

impl<P: State> Integral<P> {
    /// An integral of zero.
    pub(super) fn new(rule: Rule, rtol: f64, zero: P) -> Self {
        Self {
            rule,
            rtol,
            total: zero.clone(),
            value: zero.clone(),
            error: zero.clone(),
            next: zero.clone(),
            zero,
            size: 0.0,
            errors: 0.0,
            pieces: Vec::new(),
        }
    }

    /// The integral in the other direction.
    pub(super) fn negated(&self) -> Result<P, SolveError> {
        let mut negated = self.zero.clone();
        self.zero
            .combine_into([(-1.0, &self.total)].into_iter(), &mut negated)?;
        Ok(negated)
    }

    /// An estimate of the integral's error, relative to its size.
    pub(super) fn relative_error(&self) -> f64 {
        2.0 * self.rtol * self.errors
    }

    /// Computes `value` and `error` of a piece.
    fn compute(
        &mut self,
        rule: Rule,
        integrand: &mut impl Integrand<P>,
        (from, to): (f64, f64),
    ) -> Result<(), SolveError> {
        let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        let nothing = core::iter::empty;
        self.zero.combine_into(nothing(), &mut self.value)?;
        self.zero.combine_into(nothing(), &mut self.error)?;
        for (x, weight, difference) in rule.nodes() {
            let value = integrand.at(x.mul_add(half, middle))?;
            for (weight, sum) in [
                (half * weight, &mut self.value),
                (half * difference, &mut self.error),
            ] {
                sum.combine_into([(weight, value)].into_iter(), &mut self.next)?;
                core::mem::swap(sum, &mut self.next);
            }
        }
        Ok(())
    }

    /// Adds the integral from `from` to `to`, which no piece crosses `breaks` within: times strictly between the two,
    /// in the order of the integral.
    pub(super) fn add(
        &mut self,
        integrand: &mut impl Integrand<P>,
        (from, to): (f64, f64),
        breaks: &[f64],
    ) -> Result<(), SolveError> {
        self.pieces.clear();
        let mut end = to;
        for &at in breaks.iter().rev() {
            self.pieces.push((at, end, self.rule));
            end = at;
        }
        self.pieces.push((from, end, self.rule));
        let most = PIECES + integrand.knots(from, to).0;
        let (mut tried, mut unmet) = (0, 0.0);
        while let Some((a, b, rule)) = self.pieces.pop() {
            let (knots, knot) = integrand.knots(a, b);
            if knots > rule.knots {
                self.pieces.push((knot, b, rule));
                self.pieces.push((a, knot, rule));
                continue;
            }
            if tried == most {
                return Err(SolveError::Quadrature {
                    t0: from,
                    t1: to,
                    error: unmet,
                    pieces: tried,
                });
            }
            self.compute(rule, integrand, (a, b))?;
            tried += 1;
            self.size = self.size.max(self.value.root_mean_square()?);
            let tolerances = Tolerances {
                rtol: self.rtol,
                atol: (self.rtol * self.size).max(f64::from(f32::MIN_POSITIVE)),
            };
            let share = ((b - a) / (to - from)).sqrt();
            let error = P::scaled_norm(&self.error, &self.total, &self.value, &tolerances)? / share;
            let middle = if knots > 0 { knot } else { 0.5 * (a + b) };
            // Times inside of a shorter piece are not apart.
            let divides = (b - a).abs() > resolution(a.abs().max(b.abs()));
            if error.is_finite() && error > 1.0 && divides {
                unmet = error;
                self.pieces.push((middle, b, RULE_15));
                self.pieces.push((a, middle, RULE_15));
                continue;
            }
            if !error.is_finite() {
                return Err(SolveError::NonFinite {
                    quantity: Quantity::Integrand,
                    t: middle,
                    h: b - a,
                    sample: None,
                });
            }
            self.errors += error * share;
            let terms = [(1.0, &self.value)].into_iter();
            self.total.combine_into(terms, &mut self.next)?;
            core::mem::swap(&mut self.total, &mut self.next);
            self.size = self.size.max(self.total.root_mean_square()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{RULE_15, RULE_7};

    #[test]
    fn the_rules_are_exact_to_their_degrees() {
        for (rule, larger, smaller, count) in [(RULE_7, 11, 5, 7), (RULE_15, 23, 13, 15)] {
            let integral = |degree: i32| {
                let mut sums = [0.0; 2];
                for (x, kronrod, difference) in rule.nodes() {
                    sums[0] += kronrod * x.powi(degree);
                    sums[1] += (kronrod - difference) * x.powi(degree);
                }
                let exact = if degree % 2 == 0 {
                    2.0 / f64::from(degree + 1)
                } else {
                    0.0
                };
                sums.map(|sum: f64| (sum - exact).abs())
            };
            assert!((0..=larger).all(|degree| integral(degree)[0] < 1e-15));
            assert!((0..=smaller).all(|degree| integral(degree)[1] < 1e-15));
            assert!(integral(larger + 1)[0] > 1e-9 && integral(smaller + 1)[1] > 1e-6);
            assert_eq!(rule.nodes().count(), count);
        }
    }
}
