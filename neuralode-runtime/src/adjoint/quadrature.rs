//! The quadrature adjoint: `lambda` is solved backwards and kept, and the parameters' integral has an error control of
//! its own.
//!
//! `dlambda/dt = -(df/dy)^T lambda` goes back over the dense output of the forward solve, from each saved time to the
//! one before it, and its steps are kept. Then
//!
//! ```text
//! dL/dtheta += integral of (df/dtheta)^T lambda dt    over that interval
//! ```
//!
//! with `lambda` and `y` from both dense outputs, by the rule of Gauss and Kronrod with 7 and 15 nodes. A piece of the
//! interval is halved until `|K15 - G7|` is at most its share, by length, of `atol + rtol |I|` in the root mean square
//! over the parameters, `I` being the 15-point estimate over the whole interval; `rtol` and `atol` are those of the
//! solve. The error of the quadrature is then the difference of two sums that were computed, whatever the steps.
//!
//! # Cost
//! With a method of `s` stages that reuses its last one, `2 + (s - 1) * (accepted + rejected)` products per interval
//! between saved points (one less for equal steps), and 15 per piece that was tried: `15 (2 k - 1)` for an interval that
//! ends in `k` pieces. No call of the field. In memory: the forward solve's steps, the reverse solve's over one
//! interval, `s + 1` states each, and five cotangents of the parameters.
//!
//! # Order
//! For equal steps of size `h` the gradient's error is `O(h^min(p, q + 1))`, as for the interpolating adjoint, and the
//! tolerance of the quadrature: 5 for Tsit5.
//!
//! # Sources
//! Y. Cao, S. Li, L. Petzold, R. Serban, "Adjoint sensitivity analysis for differential-algebraic equations", SIAM J.
//! Sci. Comput. 24 (2003) 1076-1089, doi:10.1137/S1064827501380630. The rule: R. Piessens et al., "QUADPACK", Springer
//! 1983, doi:10.1007/978-3-642-61786-7, `QK15`.

use crate::{
    error::{Quantity, SolveError},
    options::{SolveOptions, Tolerances},
    state::{Augmented, State},
    step::Step,
    trajectory::{Recorder, Trajectory},
    vector_field::Differentiable,
};

use super::{
    reverse::{solve_back, Along, At, Reverse},
    Cotangent, Pullback,
};

/// Most pieces that are tried between two saved points.
pub const PIECES: usize = 1000;

/// Nodes of the 15-point rule on `-1..1` that are not negative, with its weights and those of the 7-point rule.
const RULE: [(f64, f64, f64); 8] = [
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
];

/// Nodes on `-1..1` in order, with the weights of the 15-point rule and the differences of both rules' weights.
fn nodes() -> impl Iterator<Item = (f64, f64, f64)> {
    let left = RULE.iter().map(|(x, k, g)| (-x, *k, k - g));
    let right = RULE.iter().rev().skip(1);
    left.chain(right.map(|(x, k, g)| (*x, *k, k - g)))
}

/// The integral so far, and what computing it takes.
struct Integral<Y: 'static, P: 'static, const S: usize> {
    lambda: Trajectory<Augmented<Y, P>, S>,
    tolerances: Tolerances,
    /// Where the field jumps, as the forward solve met it.
    jump_at: Vec<f64>,
    pieces: Vec<(f64, f64)>,
    at: Augmented<Y, P>,
    zero: P,
    total: P,
    /// Of one piece: the 15-point rule, and its difference from the 7-point rule.
    value: P,
    error: P,
    next: P,
}

impl<Y: State, P: State, const S: usize> Integral<Y, P, S> {
    /// Computes `value` and `error` of a piece.
    fn rule<F>(
        &mut self,
        reverse: &mut Reverse<'_, F, S>,
        (from, to): (f64, f64),
    ) -> Result<(), SolveError>
    where
        F: Differentiable<State = Y, Params = P>,
    {
        let (middle, half) = (0.5 * (from + to), 0.5 * (to - from));
        let nothing = core::iter::empty;
        self.zero.combine_into(nothing(), &mut self.value)?;
        self.zero.combine_into(nothing(), &mut self.error)?;
        for (x, kronrod, difference) in nodes() {
            let t = x.mul_add(half, middle);
            self.lambda.look_up(t, &mut self.at)?;
            let product = reverse.gather(t, &self.at.lambda)?;
            // Backwards in time: the integral from `to` to `from`.
            for (weight, sum) in [
                (-half * kronrod, &mut self.value),
                (-half * difference, &mut self.error),
            ] {
                sum.combine_into([(weight, product)].into_iter(), &mut self.next)?;
                core::mem::swap(sum, &mut self.next);
            }
        }
        Ok(())
    }
}

impl<F: Differentiable, const S: usize> Along<F, S> for Integral<F::State, F::Params, S> {
    fn step(
        &mut self,
        _: &mut Reverse<'_, F, S>,
        step: Step<&mut At<F>, &mut [At<F>; S]>,
    ) -> Result<(), SolveError> {
        self.lambda.record(step)
    }

    fn interval(
        &mut self,
        reverse: &mut Reverse<'_, F, S>,
        from: f64,
        to: f64,
    ) -> Result<(), SolveError> {
        if self.lambda.steps().is_empty() {
            return Ok(());
        }
        let mut scale = None;
        // The error of the last piece that was split.
        let (mut tried, mut unmet) = (0, 0.0);
        self.pieces.clear();
        // No rule integrates over a jump.
        let inside = |jump: f64| from.min(to) < jump && jump < from.max(to);
        let mut end = to;
        for &jump in self.jump_at.iter().filter(|jump| inside(**jump)) {
            self.pieces.push((jump, end));
            end = jump;
        }
        self.pieces.push((from, end));
        while let Some((a, b)) = self.pieces.pop() {
            if tried == PIECES {
                return Err(SolveError::Quadrature {
                    t0: from,
                    t1: to,
                    error: unmet,
                    pieces: tried,
                });
            }
            self.rule(reverse, (a, b))?;
            tried += 1;
            let scale = &*scale.get_or_insert_with(|| self.value.clone());
            let share = (b - a) / (to - from);
            let error = State::scaled_norm(&self.error, scale, &self.value, &self.tolerances)?;
            if error <= share {
                let terms = [(1.0, &self.value)].into_iter();
                self.total.combine_into(terms, &mut self.next)?;
                core::mem::swap(&mut self.total, &mut self.next);
                continue;
            }
            let middle = 0.5 * (a + b);
            if !error.is_finite() {
                return Err(SolveError::NonFinite {
                    quantity: Quantity::Integrand,
                    t: middle,
                    h: 0.0,
                    sample: None,
                });
            }
            unmet = error / share;
            self.pieces.push((middle, b));
            self.pieces.push((a, middle));
        }
        self.lambda.clear();
        Ok(())
    }
}

/// `cotangents` is not empty, and in the order of the solve that `options` describe.
pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let Some(last) = cotangents.last() else {
        return Err(SolveError::NoTimes);
    };
    let tableau = trajectory.tableau();
    let zero = field.zero_params()?;
    let start = Augmented {
        lambda: last.value.clone(),
        mu: None,
        y: None,
    };
    let mut integral = Integral {
        lambda: Trajectory::new(tableau),
        tolerances: options.tolerances(),
        jump_at: if options.t1 < options.t0 {
            options.jump_at.iter().rev().copied().collect()
        } else {
            options.jump_at.to_vec()
        },
        pieces: Vec::new(),
        at: start.clone(),
        total: zero.clone(),
        value: zero.clone(),
        error: zero.clone(),
        next: zero.clone(),
        zero,
    };
    let mut reverse = Reverse::new(field, Some(trajectory), &last.value)?;
    let at = solve_back(
        &mut reverse,
        tableau,
        start,
        cotangents,
        options,
        &mut integral,
    )?;
    Ok(Pullback {
        y_bar: at.lambda,
        theta_bar: integral.total,
        stats: reverse.stats,
    })
}

#[cfg(test)]
mod tests {
    use super::nodes;

    #[test]
    fn the_rules_are_exact_to_their_degrees() {
        let integral = |degree: i32| {
            let mut sums = [0.0; 2];
            for (x, kronrod, difference) in nodes() {
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
        assert!((0..=23).all(|degree| integral(degree)[0] < 1e-15));
        assert!((0..=13).all(|degree| integral(degree)[1] < 1e-15));
        assert!(integral(24)[0] > 1e-9 && integral(14)[1] > 1e-6);
        assert_eq!(nodes().count(), 15);
    }
}
