//! Steps backwards: the derivative of accepted steps, by parts, for any field.

use crate::ode::{
    error::SolveError,
    field::Differentiable,
    method::ButcherTableau,
    state::State,
    step::{weighted, Step},
};

/// The cotangent `dL/dy(t)` of the solution at a saved time.
#[derive(Clone, Debug)]
pub struct Cotangent<Y> {
    /// The saved time.
    pub t: f64,
    /// `dL/dy(t)`, of the shape of `y`.
    pub value: Y,
}

/// The place of some steps of a solve in a walk back over all of them, which begins with the last step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Whether these are the last steps of the solve.
    pub begins: bool,
    /// Whether these are the first steps of the solve.
    pub ends: bool,
}

impl Part {
    /// All steps.
    pub const WHOLE: Self = Self {
        begins: true,
        ends: true,
    };
}

/// What a walk back leaves of every step: squares of Euclidean norms, over the whole batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct StepNorms {
    /// Time at the step's start.
    pub t: f64,
    /// Its size, negative backwards in time.
    pub h: f64,
    /// Of `sum w_i Ybar_i` with [`Signs::weights`](crate::ode::method::signs::Signs::weights).
    pub error: f64,
    /// Of `kbar_1` and `Ybar_1`, the cotangents of the first stage and of its argument.
    pub first: [f64; 2],
    /// Of the cotangent of the state at the step's start.
    pub lambda: f64,
}

impl StepNorms {
    /// Those of a step, squares still to be added.
    pub fn new(t: f64, h: f64) -> Self {
        Self {
            t,
            h,
            ..Self::default()
        }
    }

    /// Adds the squares of another part of the batch.
    pub(crate) fn add(&mut self, other: &Self) {
        self.error += other.error;
        self.first[0] += other.first[0];
        self.first[1] += other.first[1];
        self.lambda += other.lambda;
    }
}

/// A walk back over steps: what it carries along, and what it leaves.
#[derive(Clone, Debug)]
pub struct WalkBack<Y, P> {
    /// The cotangent of the state, first after the last step, then before the first.
    pub lambda: Y,
    /// The cotangent of the parameters.
    pub theta_bar: P,
    /// One entry per step, in the order of the walk: the last step first.
    pub norms: Vec<StepNorms>,
}

/// The cotangents that belong to each of `steps`, whose times lie in `(t, t + h]`; both are in the order of
/// the solve. A time that differs from a step's end by rounding alone belongs to that step, and nothing lies
/// behind the last one.
pub fn by_step<'c, Y, Z, K>(
    steps: &[Step<Z, K>],
    mut cotangents: &'c [Cotangent<Y>],
) -> Vec<&'c [Cotangent<Y>]> {
    let mut parts = Vec::with_capacity(steps.len());
    for (index, step) in steps.iter().enumerate() {
        let count = if index + 1 == steps.len() {
            cotangents.len()
        } else {
            cotangents.partition_point(|cotangent| step.theta(cotangent.t) <= 1.0)
        };
        let (inside, later) = cotangents.split_at(count);
        parts.push(inside);
        cotangents = later;
    }
    parts
}

/// Adds the values of `cotangents` to `lambda`.
pub(crate) fn add_values<Y: State>(
    cotangents: &[Cotangent<Y>],
    lambda: &mut Y,
) -> Result<(), SolveError> {
    if cotangents.is_empty() {
        return Ok(());
    }
    let values = cotangents.iter().map(|cotangent| (1.0, &cotangent.value));
    lambda.clone().combine_into(values, lambda)
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
