//! The Gauss adjoint: `lambda` alone is solved backwards, and the parameters' integral is summed up step by step.
//!
//! `dlambda/dt = -(df/dy)^T lambda` goes back over the dense output of the forward solve. After each of its accepted
//! steps, from `t` to `t + h`,
//!
//! ```text
//! mu += -integral of (df/dtheta)^T lambda dt    over that step
//! ```
//!
//! by the rule of Gauss and Kronrod with 3 and 7 nodes (7 and 15 for `rtol` below 1e-5), with `lambda` from that step's
//! own interpolant and `y` from the forward one. The parameters are neither in the state of the solve nor in its error
//! norm: steps cost the size of `y`, and a large field does not shorten them. The two rules' difference is an estimate
//! of the integral's own error, which nothing in `lambda` shows: a step is cut into pieces until it is at most
//! `rtol (s + |mu|)`, and so that no piece has more than one (three) ends of forward steps inside.
//!
//! # Cost
//! With a method of `s` stages that reuses its last one, `2 + (s - 1) * (accepted + rejected)` products per interval
//! between saved points (one less for equal steps), and 7 (15) more per piece of an accepted step, in most cases the
//! whole step; no call of the field. In memory: the forward solve's steps, `s + 1` states each, and five cotangents of
//! the parameters, where the interpolating adjoint has `s + 5`. A product computes both its parts, `(df/dy)^T` and
//! `(df/dtheta)^T`; each is used once here.
//!
//! # Order
//! The rule integrates with order 12, more than the rest: for equal steps the gradient's error is `O(h^min(p, q + 1))`
//! with a method of order `p` and an interpolant of order `q`. For Tsit5 that is 5. Both interpolants are off by
//! `O(h^(q + 1))` everywhere, and the integral passes that on as it is.
//!
//! # Sources
//! The adjoint of that name in `SciMLSensitivity.jl`; A. Norcliffe, M. P. Deisenroth, "Faster Training of Neural ODEs
//! Using Gauss-Legendre Quadrature", TMLR 2023, arXiv:2308.10644. The rule: `adjoint/integral.rs`.

use crate::ode::{
    adjoint::{
        integral::{Integral, Integrand, Rule},
        reverse::{solve_back, start, Along, At, Reverse},
        Continuous, Pullback,
    },
    error::SolveError,
    field::{back::Cotangent, Differentiable},
    method::ButcherTableau,
    options::SolveOptions,
    state::State,
    step::Step,
    trajectory::Trajectory,
};

/// The integral so far.
struct Sum<Y: 'static, P, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    integral: Integral<P>,
    lambda: Y,
}

/// The integrand inside a reverse step; backwards in time the integral has the other sign.
struct Inside<'i, 'f, F: Differentiable, const S: usize> {
    reverse: &'i mut Reverse<'f, F, S>,
    tableau: &'static ButcherTableau<S>,
    step: &'i Step<&'i mut At<F>, &'i mut [At<F>; S]>,
    lambda: &'i mut F::State,
}

impl<F: Differentiable, const S: usize> Integrand<F::Params> for Inside<'_, '_, F, S> {
    fn at(&mut self, t: f64) -> Result<&F::Params, SolveError> {
        let weights = self.tableau.dense_weights(self.step.theta(t));
        let stages = self.step.stages.iter().map(|stage| &stage.lambda);
        let terms = weights.iter().zip(stages);
        let terms = terms
            .filter(|(weight, _)| **weight != 0.0)
            .map(|(weight, stage)| (self.step.h * weight, stage));
        self.step.y.lambda.combine_into(terms, self.lambda)?;
        self.reverse.gather(t, self.lambda)
    }

    fn knots(&self, a: f64, b: f64) -> (usize, f64) {
        self.reverse.knots(a, b)
    }
}

impl<F: Differentiable, const S: usize> Along<F, S> for Sum<F::State, F::Params, S> {
    fn step(
        &mut self,
        reverse: &mut Reverse<'_, F, S>,
        step: Step<&mut At<F>, &mut [At<F>; S]>,
    ) -> Result<(), SolveError> {
        let mut inside = Inside {
            reverse,
            tableau: self.tableau,
            step: &step,
            lambda: &mut self.lambda,
        };
        let ends = (step.t, step.t + step.h);
        self.integral.add(&mut inside, ends, &[])
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
    let tableau: &'static ButcherTableau<S> = trajectory.tableau();
    let mut sum = Sum {
        tableau,
        integral: Integral::new(Rule::at(options.rtol), options.rtol, field.zero_params()?),
        lambda: last.value.zeros_like()?,
    };
    let mut reverse = Reverse::new(field, Some(trajectory), &last.value)?;
    let start = start(last.value.clone(), None);
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
