//! The discrete adjoint: the exact derivative of the steps that were taken.
//!
//! With stages `k_i = f(t + c_i h, Y_i)`, `Y_i = y_n + h sum_j a_ij k_j` and `y_{n+1} = y_n + h sum_i b_i
//! k_i`, the cotangent `lambda` of `y_{n+1}` goes back, for `i = s, ..., 1`, through
//!
//! ```text
//! kbar_i = h (b_i lambda + sum_{j > i} a_ji Ybar_j)
//! Ybar_i = (df/dy(Y_i))^T kbar_i,   thetabar += (df/dtheta(Y_i))^T kbar_i
//! ```
//!
//! and `lambda_n = lambda + sum_i Ybar_i`. A saved point inside the step, `y_n + h sum_i b_i(theta) k_i` with
//! the cotangent `c`, adds `h b_i(theta) c` to every `kbar_i` and `c` to `lambda_n`; one at its end adds `c`
//! to `lambda`. A first stage that the step before computed as its last is treated as what it is, `f(t_n,
//! y_n)`. Step sizes are constants here, as in diffrax and torchode: the result is the gradient of the map
//! that these steps define, not of the controller that chose them.
//!
//! The steps may suit the solution and not its derivative: [`crate::ode::adjoint::gradient_error`] estimates how wrong
//! the result is.
//!
//! # Cost
//! One product per stage that takes part in the end state: 6 per accepted step for Tsit5, and one more per step with
//! saved points inside; no call of the field. In memory: the forward solve's steps, `s + 1` states each.
//!
//! # Order
//! That of the method: the steps' derivative converges with their own order, 5 for Tsit5. Saved points inside a step
//! have the interpolant's error, `O(h^5)` for Tsit5.
//!
//! # Sources
//! E. Hairer, G. Wanner, C. Lubich, "Geometric Numerical Integration", 2nd ed., Springer 2006, section
//! VI.6, doi:10.1007/3-540-30666-8; J. M. Sanz-Serna, "Symplectic Runge-Kutta schemes for adjoint
//! equations, automatic differentiation, optimal control, and more", SIAM Rev. 58 (2016) 3-33,
//! doi:10.1137/151002769.

use crate::{
    ode::{
        adjoint::{
            gradient_error::{full, judge, least, together, wants_full, QuickWalk},
            Pullback,
        },
        error::SolveError,
        field::{
            back::{add_values, Cotangent, Part, StepNorms, WalkBack},
            Differentiable,
        },
        method::ButcherTableau,
        options::SolveOptions,
        state::State,
        stats::Stats,
        step::Step,
        trajectory::Trajectory,
    },
    simd::pool,
};

/// The steps of a solve, one window of them after the other, the last ones first.
pub(super) trait Steps<F: Differentiable, const S: usize> {
    /// The method that made them.
    fn tableau(&self) -> &'static ButcherTableau<S>;

    /// Times and sizes of all steps, in order.
    fn places(&self) -> Vec<(f64, f64)>;

    /// The state before the first step.
    fn start(&self) -> Option<&F::State>;

    /// Shows every window to `walk` with the cotangents that belong to it, and whether it is the first and the last
    /// one; returns the calls of the field that it took to have the steps again.
    fn each_window(
        &self,
        field: &mut F,
        cotangents: &[Cotangent<F::State>],
        options: &SolveOptions,
        walk: &mut dyn FnMut(&mut F, Window<'_, F::State, S>) -> Result<(), SolveError>,
    ) -> Result<usize, SolveError>;
}

/// Some steps of a solve, and the cotangents of saved points in them.
pub(super) struct Window<'w, Y, const S: usize> {
    pub(super) steps: &'w [Step<Y, [Y; S]>],
    pub(super) cotangents: &'w [Cotangent<Y>],
    pub(super) part: Part,
}

impl<F: Differentiable, const S: usize> Steps<F, S> for Trajectory<F::State, S> {
    fn tableau(&self) -> &'static ButcherTableau<S> {
        self.tableau()
    }

    fn places(&self) -> Vec<(f64, f64)> {
        self.steps().iter().map(|step| (step.t, step.h)).collect()
    }

    fn start(&self) -> Option<&F::State> {
        self.steps().first().map(|step| &step.y)
    }

    fn each_window(
        &self,
        field: &mut F,
        cotangents: &[Cotangent<F::State>],
        _: &SolveOptions,
        walk: &mut dyn FnMut(&mut F, Window<'_, F::State, S>) -> Result<(), SolveError>,
    ) -> Result<usize, SolveError> {
        let window = Window {
            steps: self.steps(),
            cotangents,
            part: Part::WHOLE,
        };
        walk(field, window).map(|()| 0)
    }
}

/// Pulls `cotangents` back over all steps; they are not empty, and in the order of the solve that `options` describe.
/// `norms` are their times and norms.
pub(super) fn pull_back<F: Differentiable, const S: usize>(
    field: &mut F,
    steps: &impl Steps<F, S>,
    cotangents: &[Cotangent<F::State>],
    norms: &[(f64, f64)],
    options: &SolveOptions,
) -> Result<Pullback<F::State, F::Params>, SolveError> {
    let at = |end: f64| {
        #[allow(
            clippy::float_cmp,
            reason = "times are inside the span or equal its ends"
        )]
        move |cotangent: &Cotangent<F::State>| cotangent.t == end
    };
    let before_end = cotangents.partition_point(|cotangent| !at(options.t1)(cotangent));
    let (earlier, at_end) = cotangents.split_at(before_end);
    let (at_start, inside) = earlier.split_at(earlier.partition_point(at(options.t0)));
    let tableau = steps.tableau();
    let mut quick = QuickWalk::new(&tableau.signs, norms, field.has_kinks(), options);
    let mut back = WalkBack {
        lambda: lambda_at_end(at_end, cotangents)?,
        theta_bar: field.zero_params()?,
        norms: {
            let mut norms: Vec<StepNorms> = pool::take::<pool::Scratch, _>();
            norms.clear();
            norms
        },
    };
    let mut stats = Stats::default();
    stats.field_calls += steps.each_window(field, inside, options, &mut |field, window| {
        let Window {
            steps,
            cotangents,
            part,
        } = window;
        stats.vjps += field.pull_back_part(tableau, steps, cotangents, &mut back, part)?;
        quick.pass(&back.norms);
        back.norms.clear();
        Ok(())
    })?;
    quick.end();
    stats.gradient_error = quick.quick.estimate(0).max(least(options));
    let WalkBack {
        lambda: mut y_bar,
        theta_bar,
        norms: free,
    } = back;
    pool::give::<pool::Scratch, _>(free);
    add_values(at_start, &mut y_bar)?;
    if let Some(start) = steps
        .start()
        .filter(|_| wants_full(&quick.quick, 0, options))
    {
        let work = full(
            field,
            &tableau.view(),
            (start, &steps.places()),
            (cotangents, together(norms)),
            ((&y_bar, &theta_bar), quick.quick.estimate(0)),
        )?;
        stats += work;
        stats.gradient_error = work.gradient_error;
    }
    let pullback = Pullback {
        y_bar,
        theta_bar,
        stats,
    };
    judge(pullback, quick.quick.lost(0), options)
}

/// The cotangent of the end state: the sum of those there, or zero.
fn lambda_at_end<Y: State>(
    at_end: &[Cotangent<Y>],
    cotangents: &[Cotangent<Y>],
) -> Result<Y, SolveError> {
    match (at_end.split_last(), cotangents.first()) {
        (Some((last, others)), _) => {
            let mut lambda = last.value.clone();
            add_values(others, &mut lambda)?;
            Ok(lambda)
        }
        (None, Some(any)) => any.value.zeros_like(),
        (None, None) => Err(SolveError::NoTimes),
    }
}
