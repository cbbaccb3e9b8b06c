//! The estimate in full.

use crate::{
    adjoint::{add_values, Cotangent},
    error::SolveError,
    state::State,
    step::{weighted, Step},
    tableau::TableauView,
    vector_field::Differentiable,
};

use super::signs::{error_weights, inside_error, STAGES};

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
        let stages = tableau.stages;
        let error = error_weights(tableau.b, tableau.b_err);
        let mut points = Vec::with_capacity(inside.len());
        for saved in inside {
            let theta = step.theta(saved.t);
            let mut weights = vec![0.0; stages];
            tableau.dense_weights(theta, &mut weights);
            let errors = inside_error(tableau.b, &error, tableau.dense, theta);
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
