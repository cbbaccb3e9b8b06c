//! The backsolve adjoint: `y` itself is integrated backwards, beside `lambda` and `mu`.
//!
//! From each saved time to the one before it, from the stored value of `y` there,
//!
//! ```text
//! dy/dt      = f(t, y)
//! dlambda/dt = -(df/dy)^T lambda
//! dmu/dt     = -(df/dtheta)^T lambda
//! ```
//!
//! with all three in the error norm. The forward solve keeps the saved values and no step: memory does not grow with
//! their number.
//!
//! # When it is wrong
//! A flow that contracts forwards expands backwards. An error `e` of `y` grows like `exp(L T)` over a time `T` without
//! a saved point, where `-L` is the field's fastest rate of contraction, **whatever the tolerance**: `lambda` is then
//! that of another solution. Stable, stiff and dissipative problems (diffusion, damping, `dy/dt = -50 y`, the Lorenz
//! system) do that; a few saved points on the way help. So `y` is compared with what it was at every saved time and at
//! `t0`, where the forward solve keeps it as well. Its relative error there is the least that the gradient's error is
//! said to be ([`Stats::gradient_error`](crate::ode::stats::Stats::gradient_error)). Where it is more than ten
//! tolerances, or where errors of the solution grow on their way to the cotangents, both solves are done once more at a
//! 32nd of the tolerances, and the distance of the two cotangents of `y0` is the error. Above
//! [`gradient_error_max`](crate::ode::options::SolveOptions::gradient_error_max) the pass ends in an error. The steps
//! are an answer of the solver to a problem that the forward solve did not have, so that a backward solve may also fail
//! with [`SolveError::MaxSteps`] or [`SolveError::NonFinite`]. Where memory is what lacks,
//! [`Adjoint::Checkpointed`](crate::ode::choices::Adjoint::Checkpointed) gives the exact gradient of the steps within a
//! budget.
//!
//! # Cost
//! `2 + (s - 1) * (accepted + rejected)` products, and as many calls of the field, per interval between saved points
//! (one less for equal steps). In memory: the saved values, and `s + 5` states of twice the size of `y` and once that
//! of the parameters during the reverse solve.
//!
//! # Order
//! That of the method.
//!
//! # Sources
//! R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural Ordinary Differential Equations", Adv. Neural Inf.
//! Process. Syst. 31 (2018), arXiv:1806.07366, algorithm 1. On its failure: A. Gholami, K. Keutzer, G. Biros, "ANODE:
//! Unconditionally Accurate Memory-Efficient Gradients for Neural ODEs", IJCAI 2019, doi:10.24963/ijcai.2019/103.

use crate::ode::{
    adjoint::{
        gradient_error::{judge, kink_factor},
        reverse::{solve_back, start, Along, At, Reverse},
        second_look, Continuous, Pullback,
    },
    choices::{Control, Controller},
    error::SolveError,
    field::{back::Cotangent, Differentiable},
    method::ButcherTableau,
    options::{SolveOptions, Tolerances},
    output::saved_points::solve_at,
    state::{larger, State},
};

/// A solution that comes back off by more tolerances than this is worth a second look.
const DRIFT: f64 = 10.0;

/// Puts `y` back to what the forward solve gave, and sees how far it was off.
struct Reset<'v, Y> {
    values: &'v [(f64, Y)],
    /// The place in `values` of each cotangent's time.
    places: Vec<usize>,
    tolerances: Tolerances,
    /// The largest error of `y` so far, in tolerances.
    drift: f64,
}

impl<Y: State> Reset<'_, Y> {
    /// Compares the solution as it came back with what it was.
    fn compare(&mut self, back: &Y, value: &Y) -> Result<(), SolveError> {
        let mut difference = value.clone();
        back.combine_into([(-1.0, value)].into_iter(), &mut difference)?;
        let drift = Y::scaled_norm(&difference, value, value, &self.tolerances)?;
        self.drift = larger(drift, self.drift);
        Ok(())
    }
}

impl<F: Differentiable, const S: usize> Along<F, S> for Reset<'_, F::State> {
    fn saved(&mut self, index: usize, at: &mut At<F>) -> Result<(), SolveError> {
        let place = self.places.get(index);
        if let Some((_, value)) = place.and_then(|place| self.values.get(*place)) {
            if let Some(y) = &at.y {
                self.compare(y, value)?;
            }
            at.y = Some(value.clone());
        }
        Ok(())
    }
}

/// `cotangents` are not empty, and in the order of the solve that `options` describe, with the norm of all together;
/// `values` are the solution at its saved times, `y0` is where it began.
pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    (y0, values): (Option<&F::State>, &[(f64, F::State)]),
    (cotangents, given): (&[Cotangent<F::State>], f64),
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let (mut pulled, amplifies) = walk(field, tableau, (y0, values), cotangents, options)?;
    pulled.stats.gradient_error *= kink_factor(field.has_kinks());
    let Some(y0) = y0 else {
        return judge(pulled, None, options);
    };
    let pulled = second_look(pulled, amplifies, given, options, || {
        let times: Vec<f64> = values.iter().map(|(t, _)| *t).collect();
        let options = finer(options, y0.epsilon());
        let (better, work) = solve_at(field, tableau, y0.clone(), &times, &options, &mut ())?;
        let values: Vec<_> = times.into_iter().zip(better).collect();
        let (mut other, _) = walk(field, tableau, (Some(y0), &values), cotangents, &options)?;
        other.stats += work;
        Ok(other)
    })?;
    judge(pulled, None, options)
}

/// The options with steps of about half the size.
fn finer(options: &SolveOptions, epsilon: f64) -> SolveOptions {
    let mut finer = options.clone();
    if let Controller::Constant { dt } = &mut finer.controller {
        *dt *= 0.5;
    } else {
        // As half the step does for a method of order 5.
        finer.rtol = (options.rtol / 32.0).max(8.0 * epsilon);
        finer.atol = options.atol / 32.0;
    }
    finer.control = Control::Solution;
    finer.max_steps = options.max_steps.saturating_mul(4);
    finer
}

/// The gradient, and whether an error of the solution may have grown so much that it matters.
fn walk<F: Differentiable, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    (y0, values): (Option<&F::State>, &[(f64, F::State)]),
    cotangents: &[Cotangent<F::State>],
    options: &SolveOptions,
) -> Result<Continuous<F::State, F::Params>, SolveError> {
    let place = |(index, cotangent): (usize, &Cotangent<F::State>)| {
        #[allow(clippy::float_cmp, reason = "the saved times themselves, not results")]
        let place = values.iter().position(|(t, _)| *t == cotangent.t);
        place.ok_or(SolveError::TimeNotSaved {
            index,
            found: cotangent.t,
        })
    };
    let places: Vec<usize> = cotangents
        .iter()
        .enumerate()
        .map(place)
        .collect::<Result<_, _>>()?;
    let Some(last) = cotangents.last() else {
        return Err(SolveError::NoTimes);
    };
    let mu = field.zero_params()?;
    let start = start(last.value.clone(), Some(mu.clone()));
    let mut reverse = Reverse::new(field, None, &last.value)?;
    let mut reset = Reset {
        values,
        places,
        tolerances: options.tolerances(),
        drift: 0.0,
    };
    let at = solve_back(
        &mut reverse,
        tableau,
        start,
        cotangents,
        options,
        &mut reset,
    )?;
    if let (Some(y), Some(y0)) = (&at.y, y0) {
        reset.compare(y, y0)?;
    }
    // NaN, which means not known, where steps have no estimate.
    let of_steps = reverse.stats.gradient_error;
    reverse.stats.gradient_error = larger(of_steps, options.rtol * reset.drift);
    let amplifies = reverse.amplifies(options) || reset.drift > DRIFT || reset.drift.is_nan();
    let pullback = Pullback {
        y_bar: at.lambda,
        theta_bar: at.mu.unwrap_or(mu),
        stats: reverse.stats,
    };
    Ok((pullback, amplifies))
}
