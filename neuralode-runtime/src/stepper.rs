//! One step of an explicit Runge-Kutta method.

use core::fmt;

use crate::{
    error::SolveError, options::Tolerances, state::State, tableau::ButcherTableau,
    vector_field::VectorField,
};

/// A solution that advances step by step: attempt a step, look at its error, accept it or try another
/// size. [`crate::solve::solve`] drives it; it can as well be driven by hand.
///
/// Costs `S - 1` evaluations of the field per attempt and one at the start, and holds `S + 5` states.
/// The last stage must be the next step's first ([`ButcherTableau::fsal`]).
pub struct ExplicitRk<'a, F: VectorField, const S: usize> {
    field: &'a mut F,
    tableau: &'a ButcherTableau<S>,
    t: f64,
    y: F::State,
    /// Stages of the attempted step; the first is valid always, the others after an attempt.
    k: [F::State; S],
    /// Argument of the stage under way.
    stage: F::State,
    /// State after the attempted step.
    y1: F::State,
    error: F::State,
    zero: F::State,
    h: f64,
    evaluations: usize,
}

impl<F: VectorField, const S: usize> fmt::Debug for ExplicitRk<'_, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplicitRk")
            .field("method", &self.tableau.name)
            .field("t", &self.t)
            .field("h", &self.h)
            .field("evaluations", &self.evaluations)
            .finish_non_exhaustive()
    }
}

impl<'a, F: VectorField, const S: usize> ExplicitRk<'a, F, S> {
    /// Starts at `(t0, y0)` and evaluates the field there.
    ///
    /// # Errors
    /// Those of the field, and [`SolveError::Device`].
    pub fn new(
        field: &'a mut F,
        tableau: &'a ButcherTableau<S>,
        t0: f64,
        y0: F::State,
    ) -> Result<Self, SolveError> {
        let zero = y0.zeros_like()?;
        let mut k: [F::State; S] = core::array::from_fn(|_| zero.clone());
        if let Some(first) = k.first_mut() {
            field.eval(t0, &y0, first)?;
        }
        Ok(Self {
            field,
            tableau,
            t: t0,
            stage: zero.clone(),
            y1: y0.clone(),
            y: y0,
            k,
            error: zero.clone(),
            zero,
            h: 0.0,
            evaluations: 1,
        })
    }

    /// Time of the current state.
    pub fn t(&self) -> f64 {
        self.t
    }

    /// The current state.
    pub fn y(&self) -> &F::State {
        &self.y
    }

    /// The derivative at the current state.
    pub fn dy(&self) -> &F::State {
        &self.k[0]
    }

    /// The state that the last attempt led to.
    pub fn y1(&self) -> &F::State {
        &self.y1
    }

    /// The stages of the last attempt.
    pub fn stages(&self) -> &[F::State; S] {
        &self.k
    }

    /// Evaluations of the field so far.
    pub fn evaluations(&self) -> usize {
        self.evaluations
    }

    /// Gives access to the field between steps, counting one evaluation.
    pub(crate) fn probe<T>(
        &mut self,
        probe: impl FnOnce(&mut F, &F::State, &F::State) -> Result<T, SolveError>,
    ) -> Result<T, SolveError> {
        self.evaluations += 1;
        probe(self.field, &self.y, &self.k[0])
    }

    /// Attempts a step of size `h` (negative backwards in time) and returns the root mean square of its
    /// scaled error, which is not finite if the new state is not.
    ///
    /// # Errors
    /// Those of the field, and [`SolveError::Device`].
    pub fn attempt(&mut self, h: f64, tolerances: &Tolerances) -> Result<f64, SolveError> {
        self.h = h;
        for i in 1..S {
            let (done, rest) = self.k.split_at_mut(i);
            let argument = if i + 1 == S {
                &mut self.y1
            } else {
                &mut self.stage
            };
            self.y
                .combine_into(weighted(h, &self.tableau.a[i], done), argument)?;
            if let Some(stage) = rest.first_mut() {
                self.field
                    .eval(h.mul_add(self.tableau.c[i], self.t), argument, stage)?;
                self.evaluations += 1;
            }
        }
        self.zero
            .combine_into(weighted(h, &self.tableau.b_err, &self.k), &mut self.error)?;
        F::State::scaled_norm(&self.error, &self.y, &self.y1, tolerances)
    }

    /// Makes the attempted step the current state, at time `t1` (given, so that an end point is met
    /// exactly).
    pub fn accept(&mut self, t1: f64) {
        core::mem::swap(&mut self.y, &mut self.y1);
        self.k.swap(0, S - 1);
        self.t = t1;
    }

    /// Writes the solution at `t + theta * h` inside the attempted step into `out`, `theta` in `0..=1`;
    /// to be asked before [`ExplicitRk::accept`].
    ///
    /// # Errors
    /// [`SolveError::Device`].
    pub fn interpolate(&self, theta: f64, out: &mut F::State) -> Result<(), SolveError> {
        let weights = self.tableau.dense_weights(theta);
        self.y
            .combine_into(weighted(self.h, &weights, &self.k), out)
    }

    /// The sample with the largest error of the attempted step.
    pub(crate) fn worst_sample(&self, tolerances: &Tolerances) -> Option<usize> {
        F::State::worst_sample(&self.error, &self.y, &self.y1, tolerances)
    }

    /// The current state, by value.
    pub fn into_y(self) -> F::State {
        self.y
    }
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
