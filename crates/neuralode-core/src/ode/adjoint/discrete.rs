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
//! The steps may suit the solution and not its derivative: [`crate::ode::adjoint::gradient_error`] estimates how wrong the result is.
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
            add_values, by_step,
            gradient_error::{
                full, judge, least, together, wants_full, QuickWalk, StepNorms, WalkBack,
            },
            Cotangent, Part, Pullback,
        },
        error::SolveError,
        field::Differentiable,
        method::ButcherTableau,
        options::SolveOptions,
        output::trajectory::Trajectory,
        state::State,
        stats::Stats,
        step::{weighted, Step},
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

    /// Shows every window to `walk` with the cotangents that belong to it, and whether it is the first and the last one;
    /// returns the calls of the field that it took to have the steps again.
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

/// Takes `back.lambda`, the cotangent of the state after the last of `steps`, to that of the state before the
/// first, and adds the parameters' to `back.theta_bar`; written against [`Differentiable::vjp`], for any field.
/// See [`Differentiable::pull_back_steps`] for the contract.
///
/// # Errors
/// Those of the field's products, and [`SolveError::Device`].
pub fn pull_back_steps<F: Differentiable + ?Sized, const S: usize>(
    field: &mut F,
    tableau: &ButcherTableau<S>,
    steps: &[Step<F::State, [F::State; S]>],
    cotangents: &[Cotangent<F::State>],
    back: &mut WalkBack<F::State, F::Params>,
) -> Result<usize, SolveError> {
    let WalkBack {
        lambda,
        theta_bar,
        norms,
    } = back;
    let zero = lambda.zeros_like()?;
    let mut theta_stage = theta_bar.clone();
    let mut argument = zero.clone();
    let mut k_bar = zero.clone();
    let mut y_bars: [F::State; S] = core::array::from_fn(|_| zero.clone());
    let mut vjps = 0;

    let parts = by_step(steps, cotangents);
    for (step, cotangents) in steps.iter().zip(parts).rev() {
        let ends = cotangents.partition_point(|cotangent| step.theta(cotangent.t) < 1.0);
        let (inside, at_end) = cotangents.split_at(ends);
        add_values(at_end, lambda)?;
        let dense: Vec<([f64; S], &F::State)> = inside
            .iter()
            .map(|saved| (tableau.dense_weights(step.theta(saved.t)), &saved.value))
            .collect();
        // Stages whose cotangent is not zero by construction.
        let mut live = [false; S];
        for i in (0..S).rev() {
            let (_, later) = y_bars.split_at(i + 1);
            let later: [(f64, bool, Option<&F::State>); S] = core::array::from_fn(|j| {
                let y_bar = (j > i).then(|| later.get(j - i - 1)).flatten();
                (tableau.a[j][i], live[j], y_bar)
            });
            let through_stages = later
                .iter()
                .filter(|(a, live, _)| *live && *a != 0.0)
                .filter_map(|(a, _, y_bar)| y_bar.map(|y_bar| (step.h * a, y_bar)));
            let through_points = dense
                .iter()
                .map(|(weights, value)| (step.h * weights[i], *value))
                .filter(|(weight, _)| *weight != 0.0);
            let through_end = (tableau.b[i] != 0.0).then_some((step.h * tableau.b[i], &*lambda));
            let terms = through_end
                .into_iter()
                .chain(through_stages)
                .chain(through_points);
            live[i] = terms.clone().next().is_some();
            if !live[i] {
                continue;
            }
            zero.combine_into(terms, &mut k_bar)?;
            step.y.combine_into(
                weighted(step.h, &tableau.a[i][..i], &step.stages),
                &mut argument,
            )?;
            let t = step.h.mul_add(tableau.c[i], step.t);
            let (y_bar, theta_stage) = (&mut y_bars[i], &mut theta_stage);
            field.vjp(t, &argument, &k_bar, y_bar, theta_stage)?;
            vjps += 1;
            let sum = theta_bar.clone();
            sum.combine_into([(1.0, &*theta_stage)].into_iter(), theta_bar)?;
        }
        let stages = y_bars.iter().zip(live).filter(|(_, live)| *live);
        let points = dense.iter().map(|(_, value)| (1.0, *value));
        let before = lambda.clone();
        before.combine_into(stages.map(|(y_bar, _)| (1.0, y_bar)).chain(points), lambda)?;
        // The first stage is the last one on the way back: its cotangent is still there.
        let mut of_step = StepNorms::new(step.t, step.h);
        if live[0] {
            of_step.first = [square(&k_bar)?, square(&y_bars[0])?];
        }
        let weights = tableau.signs.weights.iter().zip(&y_bars).zip(live);
        let weighed = weights
            .filter(|((weight, _), live)| *live && **weight != 0.0)
            .map(|((weight, y_bar), _)| (*weight, y_bar));
        zero.combine_into(weighed, &mut argument)?;
        of_step.error = square(&argument)?;
        of_step.lambda = square(lambda)?;
        norms.push(of_step);
    }
    Ok(vjps)
}

/// The square of the norm.
fn square<Y: State>(x: &Y) -> Result<f64, SolveError> {
    let norm = x.norm()?;
    Ok(norm * norm)
}
