//! The Gauss adjoint: `lambda` alone is solved backwards, and the parameters' integral is summed up step by step.
//!
//! `dlambda/dt = -(df/dy)^T lambda` goes back over the dense output of the forward solve. After each of its accepted
//! steps, from `t` to `t + h`,
//!
//! ```text
//! mu += -h sum_i w_i (df/dtheta)^T lambda    at t + x_i h
//! ```
//!
//! with the nodes `x_i` and weights `w_i` of Gauss and Legendre on `0..1`, `lambda` from that step's own interpolant
//! and `y` from the forward one. The parameters are neither in the state of the solve nor in its error norm: steps
//! cost the size of `y`, and a large field does not shorten them.
//!
//! # Cost
//! With a method of `s` stages that reuses its last one, `2 + (s - 1) * (accepted + rejected)` products per interval
//! between saved points (one less for equal steps), and `m` more per accepted step; no call of the field. In memory:
//! the forward solve's steps, `s + 1` states each, and two cotangents of the parameters, where the interpolating adjoint
//! has `s + 5`. A product computes both its parts, `(df/dy)^T` and `(df/dtheta)^T`; each is used once here.
//!
//! # Order
//! `m` nodes integrate with order `2 m`. `m = (p + 1) / 2` for a method of order `p`, rounded down, is enough for the
//! rest: for equal steps the gradient's error is `O(h^min(p, q + 1, 2 m))`, `q` being the interpolant's order. For
//! Tsit5, `m = 3`, `q = 4`, that is 5. Both interpolants are off by `O(h^(q + 1))` everywhere, and the integral passes
//! that on as it is.
//!
//! # Sources
//! The adjoint of that name in `SciMLSensitivity.jl`; A. Norcliffe, M. P. Deisenroth, "Faster Training of Neural ODEs
//! Using Gauss-Legendre Quadrature", TMLR 2023, arXiv:2308.10644. Nodes: P. J. Davis, P. Rabinowitz, "Methods of
//! Numerical Integration", 2nd ed., Academic Press 1984, section 2.7.

use crate::{
    error::SolveError,
    options::SolveOptions,
    state::{Augmented, State},
    step::Step,
    tableau::ButcherTableau,
    trajectory::Trajectory,
    vector_field::Differentiable,
};

use super::{
    reverse::{solve_back, Along, At, Reverse},
    Cotangent, Pullback,
};

/// Nodes per step for a method of this order.
pub const fn nodes(order: usize) -> usize {
    order.div_ceil(2)
}

/// The nodes and weights of Gauss and Legendre on `0..1`, exact for polynomials of degree `2 count - 1`.
///
/// Newton's method on the Legendre polynomial, from an approximation close enough for any count.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts of nodes are small numbers"
)]
pub fn gauss_legendre(count: usize) -> Vec<(f64, f64)> {
    let n = count as f64;
    let node = |index: usize| {
        let mut x = (core::f64::consts::PI * (index as f64 + 0.75) / (n + 0.5)).cos();
        let mut slope = 1.0;
        // Quadratic convergence: from two digits to all in four rounds.
        for _ in 0..6 {
            let (mut previous, mut value) = (1.0, x);
            for degree in 2..=count {
                let k = degree as f64;
                let next = ((2.0 * k - 1.0) * x * value - (k - 1.0) * previous) / k;
                (previous, value) = (value, next);
            }
            slope = n * (x * value - previous) / (x * x - 1.0);
            x -= value / slope;
        }
        let weight = 1.0 / ((1.0 - x * x) * slope * slope);
        (0.5 * (1.0 + x), weight)
    };
    (0..count).map(node).collect()
}

/// One node inside every step.
struct Node<const S: usize> {
    x: f64,
    weight: f64,
    /// The interpolant's weights there.
    dense: [f64; S],
}

/// The sum so far.
struct Sum<Y, P, const S: usize> {
    nodes: Vec<Node<S>>,
    lambda: Y,
    mu: P,
    next: P,
}

impl<F: Differentiable, const S: usize> Along<F, S> for Sum<F::State, F::Params, S> {
    fn step(
        &mut self,
        reverse: &mut Reverse<'_, F, S>,
        step: Step<&mut At<F>, &mut [At<F>; S]>,
    ) -> Result<(), SolveError> {
        for node in &self.nodes {
            let terms = node.dense.iter().zip(&*step.stages);
            let terms = terms
                .filter(|(weight, _)| **weight != 0.0)
                .map(|(weight, stage)| (step.h * weight, &stage.lambda));
            step.y.lambda.combine_into(terms, &mut self.lambda)?;
            let product = reverse.gather(node.x.mul_add(step.h, step.t), &self.lambda)?;
            let weight = -step.h * node.weight;
            self.mu
                .combine_into([(weight, product)].into_iter(), &mut self.next)?;
            core::mem::swap(&mut self.mu, &mut self.next);
        }
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
    let nodes = nodes(trajectory.tableau().order);
    pull_back_with(field, trajectory, cotangents, options, nodes)
}

/// The Gauss adjoint with a given number of nodes per step, over the steps of a forward solve;
/// [`crate::adjoint::pull_back`] takes [`nodes`] of them. `cotangents` are in the order of the solve.
///
/// # Errors
/// [`SolveError::NoTimes`] without cotangents, and whatever the reverse solve returns.
pub fn pull_back_with<F: Differentiable, const S: usize>(
    field: &mut F,
    trajectory: &Trajectory<F::State, S>,
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
    nodes: usize,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let Some(last) = cotangents.last() else {
        return Err(SolveError::NoTimes);
    };
    let tableau: &'static ButcherTableau<S> = trajectory.tableau();
    let rule = gauss_legendre(nodes);
    let mu = field.zero_params()?;
    let mut sum = Sum {
        nodes: rule
            .into_iter()
            .map(|(x, weight)| Node {
                x,
                weight,
                dense: tableau.dense_weights(x),
            })
            .collect(),
        lambda: last.value.zeros_like()?,
        next: mu.clone(),
        mu,
    };
    let start = Augmented {
        lambda: last.value.clone(),
        mu: None,
        y: None,
    };
    let mut reverse = Reverse::new(field, Some(trajectory), &last.value)?;
    let at = solve_back(&mut reverse, tableau, start, cotangents, options, &mut sum)?;
    Ok(Pullback {
        y_bar: at.lambda,
        theta_bar: sum.mu,
        stats: reverse.stats,
    })
}

#[cfg(test)]
#[allow(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::gauss_legendre;

    #[test]
    fn nodes_integrate_polynomials_exactly_up_to_twice_their_number() {
        for count in 1..=8 {
            let integral = |degree: i32| -> f64 {
                let terms = gauss_legendre(count).into_iter();
                terms.map(|(x, weight)| weight * x.powi(degree)).sum()
            };
            let degree = 2 * i32::try_from(count).unwrap();
            for exact in 0..degree {
                let expected = 1.0 / (f64::from(exact) + 1.0);
                assert!(
                    (integral(exact) - expected).abs() < 1e-15,
                    "{count}, {exact}"
                );
            }
            let expected = 1.0 / (f64::from(degree) + 1.0);
            assert!((integral(degree) - expected).abs() > 1e-10, "{count}");
        }
    }
}
