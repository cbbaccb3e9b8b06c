//! An attempted step and its arithmetic, made of a state's combinations and a field's evaluations.

use crate::ode::{
    error::{Quantity, SolveError},
    method::ButcherTableau,
    options::Tolerances,
    state::State,
};

/// A step from `t` to `t + h` in the making.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Attempt<Y, const S: usize> {
    /// Time at its start.
    pub t: f64,
    /// Its size, negative backwards in time.
    pub h: f64,
    /// State at its start.
    pub y: Y,
    /// State at its end.
    pub y1: Y,
    /// Its stages `k_i`; the first is given, the others are computed.
    pub k: [Y; S],
    parts: Option<Parts<Y>>,
}

/// States that only an attempt by parts needs.
#[derive(Clone, Debug)]
struct Parts<Y> {
    stage: Y,
    error: Y,
    zero: Y,
}

impl<Y: State> Parts<Y> {
    fn like(y: &Y) -> Result<Self, SolveError> {
        let zero = y.zeros_like()?;
        Ok(Self {
            stage: zero.clone(),
            error: zero.clone(),
            zero,
        })
    }
}

impl<Y: State, const S: usize> Attempt<Y, S> {
    /// A step that starts at `(t, y)`; its first stage is still to be computed.
    pub(crate) fn at(tableau: &ButcherTableau<S>, t: f64, y: Y) -> Self {
        Self {
            t,
            h: 0.0,
            k: core::array::from_fn(|i| {
                if tableau.has_stage(i) {
                    y.unset()
                } else {
                    y.nothing()
                }
            }),
            y1: y.unset(),
            y,
            parts: None,
        }
    }

    /// A step of these states, whose first stage is computed.
    pub(crate) fn of_parts((t, h): (f64, f64), y: Y, y1: Y, k: [Y; S]) -> Self {
        Self {
            t,
            h,
            y,
            y1,
            k,
            parts: None,
        }
    }

    /// Computes the stages, the state `y1` and the mean square of the scaled error with one call of `eval` per stage
    /// but the first.
    ///
    /// # Errors
    /// Those of `eval`, and [`SolveError::Device`].
    pub fn by_parts(
        &mut self,
        tableau: &ButcherTableau<S>,
        tolerances: &Tolerances,
        mut eval: impl FnMut(f64, &Y, &mut Y) -> Result<(), SolveError>,
    ) -> Result<f64, SolveError> {
        if self.parts.is_none() {
            self.parts = Some(Parts::like(&self.y)?);
        }
        if let Some(parts) = &mut self.parts {
            for i in (1..S).filter(|i| tableau.has_stage(*i)) {
                let (done, rest) = self.k.split_at_mut(i);
                let argument = if i + 1 == S {
                    &mut self.y1
                } else {
                    &mut parts.stage
                };
                self.y
                    .combine_into(weighted(self.h, &tableau.a[i], done), argument)?;
                if let Some(stage) = rest.first_mut() {
                    eval(self.h.mul_add(tableau.c[i], self.t), argument, stage)?;
                }
            }
        }
        self.error_square(tableau, tolerances)
    }

    /// The mean square of the scaled error of the computed stages.
    ///
    /// # Errors
    /// [`SolveError::Device`].
    pub fn error_square(
        &mut self,
        tableau: &ButcherTableau<S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let (y, y1) = (&self.y, &self.y1);
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => Parts::like(y)?,
        };
        parts
            .zero
            .combine_into(weighted(self.h, &tableau.b_err, &self.k), &mut parts.error)?;
        let square = Y::scaled_mean_square(&parts.error, y, y1, tolerances);
        self.parts = Some(parts);
        square
    }

    /// The sample with the largest error of the attempted step.
    pub(crate) fn worst_sample(
        &mut self,
        tableau: &ButcherTableau<S>,
        tolerances: &Tolerances,
    ) -> Option<usize> {
        self.error_square(tableau, tolerances).ok()?;
        let parts = self.parts.as_ref()?;
        Y::worst_sample(&parts.error, &self.y, &self.y1, tolerances)
    }
}

/// One accepted step from `t` to `t + h`.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Step<Y, K> {
    /// Time at its start.
    pub t: f64,
    /// Its size, negative backwards in time.
    pub h: f64,
    /// State at its start.
    pub y: Y,
    /// Its stages `k_i`.
    pub stages: K,
}

impl<Y, K> Step<Y, K> {
    /// Where `t` lies in this step: 0 at its start, 1 at its end; 0 everywhere in a step of length zero.
    pub fn theta(&self, t: f64) -> f64 {
        if self.h == 0.0 {
            0.0
        } else {
            (t - self.t) / self.h
        }
    }
}

/// The step in which `t` lies, or the nearest one; the earlier one where two meet.
pub(crate) fn nearest<Y, K>(steps: &[Step<Y, K>], t: f64) -> Option<&Step<Y, K>> {
    let ended = steps.partition_point(|step| {
        let end = step.t + step.h;
        if step.h < 0.0 {
            end > t
        } else {
            end < t
        }
    });
    steps.get(ended).or(steps.last())
}

/// The terms `(h * weight, x)`, without those whose weight is zero.
pub(crate) fn weighted<'a, Y>(
    h: f64,
    weights: &'a [f64],
    xs: &'a [Y],
) -> impl Iterator<Item = (f64, &'a Y)> + Clone {
    weights
        .iter()
        .zip(xs)
        .filter(|(weight, _)| **weight != 0.0)
        .map(move |(weight, x)| (h * weight, x))
}

/// That a value of the dense output at `t`, in a step of size `h`, is finite: the last stage of a step, the field at
/// its end, is no part of most methods' error.
pub(crate) fn finite<Y: State>(value: &Y, (t, h): (f64, f64)) -> Result<(), SolveError> {
    if value.is_finite()? {
        return Ok(());
    }
    let unit = Tolerances {
        rtol: 1.0,
        atol: 1.0,
    };
    Err(SolveError::NonFinite {
        quantity: Quantity::Interpolant,
        t,
        h,
        sample: Y::worst_sample(value, value, value, &unit),
    })
}
