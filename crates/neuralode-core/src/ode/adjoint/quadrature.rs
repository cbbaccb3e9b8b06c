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
//! interval is halved until `|K15 - G7|` is at most its share, by the root of its length, of `rtol (s + |mu|)` in the
//! root mean square over the parameters, and has at most three ends of forward steps inside; `s` is the size of the
//! integral so far (`adjoint/integral.rs`). The error of the quadrature is then the difference of two sums that were
//! computed, whatever the steps.
//!
//! # Cost
//! With a method of `s` stages that reuses its last one, `2 + (s - 1) * (accepted + rejected)` products per interval
//! between saved points (one less for equal steps), and 15 per piece that was tried: `15 (2 k - 1)` for an interval
//! that ends in `k` pieces. No call of the field. In memory: the forward solve's steps, the reverse solve's over one
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

use crate::ode::{
    adjoint::{
        integral::{Integral, Integrand, RULE_15},
        reverse::{solve_back, start, Along, At, Reverse},
        Continuous, Pullback,
    },
    error::SolveError,
    field::{back::Cotangent, Differentiable},
    options::SolveOptions,
    state::Augmented,
    step::Step,
    trajectory::{Recorder, Trajectory},
};

pub use crate::ode::adjoint::integral::PIECES;

/// The integral so far, and the steps of the interval at hand.
struct Sum<Y: 'static, P: 'static, const S: usize> {
    lambda: Trajectory<Augmented<Y, P>, S>,
    at: Augmented<Y, P>,
    /// Where the field jumps, as the reverse solve meets it.
    jump_at: Vec<f64>,
    integral: Integral<P>,
}

/// The integrand over the dense output of `lambda`; backwards in time the integral has the other sign.
struct Over<'i, 'f, F: Differentiable, const S: usize> {
    reverse: &'i mut Reverse<'f, F, S>,
    lambda: &'i Trajectory<At<F>, S>,
    at: &'i mut At<F>,
}

impl<F: Differentiable, const S: usize> Integrand<F::Params> for Over<'_, '_, F, S> {
    fn at(&mut self, t: f64) -> Result<&F::Params, SolveError> {
        self.lambda.look_up(t, self.at)?;
        self.reverse.gather(t, &self.at.lambda)
    }

    fn knots(&self, a: f64, b: f64) -> (usize, f64) {
        self.reverse.knots(a, b)
    }
}

impl<F: Differentiable, const S: usize> Along<F, S> for Sum<F::State, F::Params, S> {
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
        // No rule integrates over a jump.
        let inside = |jump: &f64| from.min(to) < *jump && *jump < from.max(to);
        let breaks: Vec<f64> = self.jump_at.iter().copied().filter(inside).collect();
        let mut over = Over {
            reverse,
            lambda: &self.lambda,
            at: &mut self.at,
        };
        self.integral.add(&mut over, (from, to), &breaks)?;
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
) -> Result<Continuous<F::State, F::Params>, SolveError> {
    let Some(last) = cotangents.last() else {
        return Err(SolveError::NoTimes);
    };
    let tableau = trajectory.tableau();
    let start = start(last.value.clone(), None);
    let mut sum = Sum {
        lambda: Trajectory::new(tableau),
        at: start.clone(),
        // The reverse solve meets them the other way round.
        jump_at: if options.t1 < options.t0 {
            options.jump_at.to_vec()
        } else {
            options.jump_at.iter().rev().copied().collect()
        },
        integral: Integral::new(RULE_15, options.rtol, field.zero_params()?),
    };
    let mut reverse = Reverse::new(field, Some(trajectory), &last.value)?;
    let at = solve_back(&mut reverse, tableau, start, cotangents, options, &mut sum)?;
    reverse.stats.gradient_error += sum.integral.relative_error();
    let amplifies = reverse.amplifies(options);
    let pullback = Pullback {
        y_bar: at.lambda,
        theta_bar: sum.integral.negated()?,
        stats: reverse.stats,
    };
    Ok((pullback, amplifies))
}
