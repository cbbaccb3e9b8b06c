//! The estimate in full: the gradient once more, over the same steps cut in half, or in three.

use crate::ode::{
    error::SolveError,
    field::{
        back::{add_values, Cotangent},
        Differentiable,
    },
    method::TableauView,
    state::{larger, State},
    stats::Stats,
    step::weighted,
};

/// A gradient over given steps.
#[derive(Debug)]
pub(crate) struct Gradient<Y, P> {
    pub(crate) y_bar: Y,
    pub(crate) theta_bar: P,
    /// Sum of the sizes of the contributions to `theta_bar`.
    theta_size: f64,
    pub(crate) field_calls: usize,
    pub(crate) vjps: usize,
}

/// Every step, in order, in so many parts of the same size.
pub(crate) fn cut(steps: &[(f64, f64)], parts: u8) -> Vec<(f64, f64)> {
    let all = steps.iter().flat_map(|(t, h)| {
        let end = move |part: u8| t + h * (f64::from(part) / f64::from(parts));
        (0..parts).map(move |part| (end(part), end(part + 1) - end(part)))
    });
    all.filter(|(_, h)| *h != 0.0).collect()
}

/// The error of a gradient over `steps`, in full, and the work that it took. `quick` is the estimate by cheap signs:
/// where it is tenfold, two gradients that are both wrong may be near each other by chance, and steps cut in three are
/// asked too.
pub(crate) fn full<F, Y: State, P: State>(
    field: &mut F,
    tableau: &TableauView,
    (y0, steps): (&Y, &[(f64, f64)]),
    (cotangents, given): (&[Cotangent<Y>], f64),
    (found, quick): ((&Y, &P), f64),
) -> Result<Stats, SolveError>
where
    F: Differentiable<State = Y, Params = P> + ?Sized,
{
    let mut stats = Stats::default();
    for parts in [2, 3] {
        let better = Gradient::over(field, tableau, y0, &cut(steps, parts), cotangents)?;
        stats.field_calls += better.field_calls;
        stats.vjps += better.vjps;
        let error = better.distance(found, given)?;
        stats.gradient_error = larger(error, stats.gradient_error);
        if quick <= 10.0 * stats.gradient_error {
            break;
        }
    }
    Ok(stats)
}

impl<Y: State, P: State> Gradient<Y, P> {
    /// Solves from `y0` over `steps`, their times and sizes in order, and pulls `cotangents` back, which are in the
    /// order of the solve. Costs three evaluations and one product per step and stage that has a part in its end, and
    /// keeps `2 sqrt(n)` states for `n` steps: some on the way forward, those between two of them on the way back.
    pub(crate) fn over<F>(
        field: &mut F,
        tableau: &TableauView,
        y0: &Y,
        steps: &[(f64, f64)],
        mut cotangents: &[Cotangent<Y>],
    ) -> Result<Self, SolveError>
    where
        F: Differentiable<State = Y, Params = P> + ?Sized,
    {
        let zero = y0.zeros_like()?;
        let theta_bar = field.zero_params()?;
        let mut walk = Walk {
            tableau,
            stages: vec![zero.clone(); tableau.stages],
            y_bars: vec![zero.clone(); tableau.stages],
            argument: zero.clone(),
            k_bar: zero.clone(),
            product: theta_bar.clone(),
            sum: theta_bar.clone(),
            zero,
        };
        let mut gradient = Self {
            y_bar: walk.zero.clone(),
            theta_bar,
            theta_size: 0.0,
            field_calls: 0,
            vjps: 0,
        };
        let every = steps.len().isqrt().max(1);
        let mut kept = Vec::with_capacity(steps.len().div_ceil(every));
        let mut y = y0.clone();
        for part in steps.chunks(every) {
            kept.push(y.clone());
            for step in part {
                gradient.field_calls += walk.forward(field, *step, &mut y)?;
            }
        }
        let mut between = Vec::with_capacity(every);
        for (part, y) in steps.chunks(every).zip(kept).rev() {
            between.push(y);
            for step in part {
                let mut y = match between.last() {
                    Some(last) if between.len() < part.len() => last.clone(),
                    _ => break,
                };
                gradient.field_calls += walk.forward(field, *step, &mut y)?;
                between.push(y);
            }
            for (t, h) in part.iter().rev() {
                let Some(y) = between.pop() else {
                    break;
                };
                let reached = |cotangent: &Cotangent<Y>| (cotangent.t - t) / h <= 0.0;
                let (earlier, these) = cotangents.split_at(cotangents.partition_point(reached));
                walk.back(field, (*t, *h), &y, these, &mut gradient)?;
                cotangents = earlier;
            }
        }
        add_values(cotangents, &mut gradient.y_bar)?;
        Ok(gradient)
    }

    /// How far a gradient with the parts `y_bar` and `theta_bar` is off this one, relative to the larger one of
    /// `|y_bar|` and `given`, the norm of all cotangents together, and for the parameters to the sum of the sizes of
    /// their contributions: a gradient that is small because its parts cancel, as in a minimum, is no wrong one.
    pub(crate) fn distance(
        &self,
        (y_bar, theta_bar): (&Y, &P),
        given: f64,
    ) -> Result<f64, SolveError> {
        let y = relative(&self.y_bar, y_bar, given)?;
        let size = self.theta_size.max(theta_bar.norm()?);
        let theta = ratio(difference(&self.theta_bar, theta_bar)?, size);
        let error = larger(y, theta);
        Ok(if error.is_nan() { f64::INFINITY } else { error })
    }
}

/// The norm of `better - found`, relative to the larger one of that of `found` and `given`.
pub(crate) fn relative<Y: State>(better: &Y, found: &Y, given: f64) -> Result<f64, SolveError> {
    let error = ratio(difference(better, found)?, found.norm()?.max(given));
    Ok(if error.is_nan() { f64::INFINITY } else { error })
}

/// `a / b`, and zero for a difference of zero.
fn ratio(a: f64, b: f64) -> f64 {
    if a == 0.0 {
        0.0
    } else {
        a / b
    }
}

/// The norm of `a - b`.
fn difference<X: State>(a: &X, b: &X) -> Result<f64, SolveError> {
    let mut difference = a.clone();
    a.combine_into([(-1.0, b)].into_iter(), &mut difference)?;
    difference.norm()
}

/// What steps forwards and back share.
struct Walk<'t, Y, P> {
    tableau: &'t TableauView,
    stages: Vec<Y>,
    y_bars: Vec<Y>,
    argument: Y,
    k_bar: Y,
    product: P,
    sum: P,
    zero: Y,
}

impl<Y: State, P: State> Walk<'_, Y, P> {
    /// Computes the stages of a step that starts at `y`: those that the state at its end needs, or with points inside
    /// all.
    fn stages<F>(
        &mut self,
        field: &mut F,
        (t, h): (f64, f64),
        y: &Y,
        inside: bool,
    ) -> Result<usize, SolveError>
    where
        F: Differentiable<State = Y, Params = P> + ?Sized,
    {
        let mut field_calls = 0;
        let all = self.tableau.stages;
        let ending = self.tableau.b.iter().rposition(|b| *b != 0.0);
        let count = ending.filter(|_| !inside).map_or(all, |last| last + 1);
        for i in (0..count).filter(|i| self.tableau.has_stage(*i)) {
            let (earlier, now) = self.stages.split_at_mut(i);
            y.combine_into(
                weighted(h, self.tableau.row(i), earlier),
                &mut self.argument,
            )?;
            if let Some(now) = now.first_mut() {
                field.eval(h.mul_add(self.tableau.c[i], t), &self.argument, now)?;
                field_calls += 1;
            }
        }
        Ok(field_calls)
    }

    /// Takes `y` over a step.
    fn forward<F>(
        &mut self,
        field: &mut F,
        step: (f64, f64),
        y: &mut Y,
    ) -> Result<usize, SolveError>
    where
        F: Differentiable<State = Y, Params = P> + ?Sized,
    {
        let field_calls = self.stages(field, step, y, false)?;
        let start = y.clone();
        start.combine_into(weighted(step.1, self.tableau.b, &self.stages), y)?;
        Ok(field_calls)
    }

    /// Takes `gradient` back over a step that starts at `y`, with the cotangents of saved points in it.
    fn back<F>(
        &mut self,
        field: &mut F,
        (t, h): (f64, f64),
        y: &Y,
        cotangents: &[Cotangent<Y>],
        gradient: &mut Gradient<Y, P>,
    ) -> Result<(), SolveError>
    where
        F: Differentiable<State = Y, Params = P> + ?Sized,
    {
        let tableau = self.tableau;
        let theta = |cotangent: &Cotangent<Y>| (cotangent.t - t) / h;
        let ends = cotangents.partition_point(|cotangent| theta(cotangent) < 1.0);
        let (inside, at_end) = cotangents.split_at(ends);
        add_values(at_end, &mut gradient.y_bar)?;
        let mut points = Vec::with_capacity(inside.len());
        for saved in inside {
            let mut weights = vec![0.0; tableau.stages];
            tableau.dense_weights(theta(saved), &mut weights);
            points.push((weights, &saved.value));
        }
        gradient.field_calls += self.stages(field, (t, h), y, !points.is_empty())?;
        let total: f64 = tableau.b.iter().map(|b| b.abs()).sum();
        let mut live = vec![false; tableau.stages];
        for i in (0..tableau.stages).rev().filter(|i| tableau.has_stage(*i)) {
            let (now, later) = self.y_bars.split_at_mut(i + 1);
            let through_stages = (i + 1..tableau.stages)
                .filter(|j| live[*j])
                .filter_map(|j| later.get(j - i - 1).map(|bar| (h * tableau.a(j, i), bar)));
            let through_points = points.iter().map(|(dense, value)| (h * dense[i], *value));
            let terms = core::iter::once((h * tableau.b[i], &gradient.y_bar))
                .chain(through_points)
                .chain(through_stages)
                .filter(|(weight, _)| *weight != 0.0);
            let Some(now) = now.last_mut().filter(|_| terms.clone().next().is_some()) else {
                continue;
            };
            self.zero.combine_into(terms, &mut self.k_bar)?;
            live[i] = true;
            y.combine_into(
                weighted(h, tableau.row(i), &self.stages[..i]),
                &mut self.argument,
            )?;
            let t = h.mul_add(tableau.c[i], t);
            field.vjp(t, &self.argument, &self.k_bar, now, &mut self.product)?;
            gradient.vjps += 1;
            gradient.theta_size += self.product.norm()? / total;
            let terms = [(1.0, &self.product)].into_iter();
            gradient.theta_bar.combine_into(terms, &mut self.sum)?;
            core::mem::swap(&mut gradient.theta_bar, &mut self.sum);
        }
        let bars = self.y_bars.iter().zip(live).filter(|(_, live)| *live);
        let values = points.iter().map(|(_, value)| (1.0, *value));
        let after = gradient.y_bar.clone();
        let terms = bars.map(|(bar, _)| (1.0, bar)).chain(values);
        after.combine_into(terms, &mut gradient.y_bar)
    }
}
