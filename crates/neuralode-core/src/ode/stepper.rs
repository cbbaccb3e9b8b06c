//! One step of an explicit Runge-Kutta method.

use core::fmt;

use crate::ode::{
    error::SolveError,
    field::VectorField,
    method::ButcherTableau,
    options::Tolerances,
    state::State,
    step::{weighted, Attempt, Step},
    stiffness,
};

/// A solution that advances step by step: attempt a step, look at its error, accept it or try another
/// size. [`crate::ode::solve::record`] drives it; it can as well be driven by hand.
///
/// Costs [`ButcherTableau::evaluations`] of the field per attempt and one at the start, and holds `S + 5` states.
/// The last stage must be the next step's first ([`ButcherTableau::fsal`]).
pub struct ExplicitRk<'a, F: VectorField, const S: usize> {
    field: &'a mut F,
    tableau: &'a ButcherTableau<S>,
    step: Attempt<F::State, S>,
    field_calls: usize,
}

impl<F: VectorField, const S: usize> fmt::Debug for ExplicitRk<'_, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplicitRk")
            .field("method", &self.tableau.name)
            .field("t", &self.step.t)
            .field("h", &self.step.h)
            .field("field_calls", &self.field_calls)
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
        let mut stepper = Self::unstarted(field, tableau, t0, y0);
        stepper.restart(t0)?;
        Ok(stepper)
    }

    /// At `(t0, y0)`, with the field still to be evaluated there.
    pub(crate) fn unstarted(
        field: &'a mut F,
        tableau: &'a ButcherTableau<S>,
        t0: f64,
        y0: F::State,
    ) -> Self {
        Self {
            field,
            tableau,
            step: Attempt::at(tableau, t0, y0),
            field_calls: 0,
        }
    }

    /// Goes on from the current state at another time, with a fresh evaluation of the field: the way over a jump.
    ///
    /// # Errors
    /// Those of the field.
    pub fn restart(&mut self, t: f64) -> Result<(), SolveError> {
        self.step.t = t;
        self.field_calls += 1;
        match self.step.k.first_mut() {
            Some(first) => self.field.eval(t, &self.step.y, first),
            None => Ok(()),
        }
    }

    /// Order of the method.
    pub(crate) fn order(&self) -> usize {
        self.tableau.order
    }

    /// Time of the current state.
    pub fn t(&self) -> f64 {
        self.step.t
    }

    /// The current state.
    pub fn y(&self) -> &F::State {
        &self.step.y
    }

    /// The derivative at the current state.
    pub fn dy(&self) -> &F::State {
        &self.step.k[0]
    }

    /// The state that the last attempt led to.
    pub fn y1(&self) -> &F::State {
        &self.step.y1
    }

    /// The stages of the last attempt.
    pub fn stages(&self) -> &[F::State; S] {
        &self.step.k
    }

    /// Evaluations of the field so far.
    pub fn field_calls(&self) -> usize {
        self.field_calls
    }

    /// Gives access to the field between steps, counting one evaluation.
    pub(crate) fn probe<T>(
        &mut self,
        probe: impl FnOnce(&mut F, &F::State, &F::State) -> Result<T, SolveError>,
    ) -> Result<T, SolveError> {
        self.field_calls += 1;
        probe(self.field, &self.step.y, &self.step.k[0])
    }

    /// Attempts a step of size `h` (negative backwards in time) and returns the root mean square of its
    /// scaled error, which is not finite if the new state is not.
    ///
    /// # Errors
    /// Those of the field, and [`SolveError::Device`].
    #[inline]
    pub fn attempt(&mut self, h: f64, tolerances: &Tolerances) -> Result<f64, SolveError> {
        Ok(self.attempt_squared(h, tolerances)?.sqrt())
    }

    /// The same with the mean square, so that the loop need not wait for a root.
    #[inline]
    pub(crate) fn attempt_squared(
        &mut self,
        h: f64,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        self.step.h = h;
        self.field_calls += self.tableau.evaluations;
        self.field.attempt(self.tableau, &mut self.step, tolerances)
    }

    /// The attempted step beside the field, for an observer of accepted steps that may take its parts, and the state
    /// at its end.
    pub(crate) fn accepted(
        &mut self,
    ) -> (&mut F, Step<&mut F::State, &mut [F::State; S]>, &F::State) {
        let step = Step {
            t: self.step.t,
            h: self.step.h,
            y: &mut self.step.y,
            stages: &mut self.step.k,
        };
        (self.field, step, &self.step.y1)
    }

    /// Makes the attempted step the current state, at time `t1` (given, so that an end point is met
    /// exactly).
    #[inline]
    pub fn accept(&mut self, t1: f64) {
        let step = &mut self.step;
        core::mem::swap(&mut step.y, &mut step.y1);
        step.k.swap(0, S - 1);
        step.t = t1;
    }

    /// The field, the current state, and the derivative there.
    pub(crate) fn next_start(&mut self) -> (&mut F, &mut F::State, &mut F::State) {
        (self.field, &mut self.step.y, &mut self.step.k[0])
    }

    /// Writes the solution at `t + theta * h` inside the attempted step into `out`, `theta` in `0..=1`;
    /// to be asked before [`ExplicitRk::accept`].
    ///
    /// # Errors
    /// [`SolveError::Device`].
    pub fn interpolate(&self, theta: f64, out: &mut F::State) -> Result<(), SolveError> {
        let weights = self.tableau.dense_weights(theta);
        let step = &self.step;
        step.y
            .combine_into(weighted(step.h, &weights, &step.k), out)
    }

    /// The size of the attempted step times the rate of the fastest decay that it saw; see [`crate::ode::stiffness`].
    #[cold]
    #[inline(never)]
    pub(crate) fn decay(&mut self, tolerances: &Tolerances) -> Result<f64, SolveError> {
        let field = &mut *self.field;
        self.field_calls += 1;
        stiffness::decay(&self.step, self.tableau, tolerances, |t, y, dy| {
            field.eval(t, y, dy)
        })
    }

    /// The sample with the largest error of the attempted step.
    pub(crate) fn worst_sample(&mut self, tolerances: &Tolerances) -> Option<usize> {
        self.step.worst_sample(self.tableau, tolerances)
    }

    /// The current state, by value.
    pub fn into_y(self) -> F::State {
        self.step.y
    }
}
