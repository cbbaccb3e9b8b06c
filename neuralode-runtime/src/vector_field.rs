//! The right-hand side of a differential equation, as the solvers see it.

use crate::{
    error::SolveError, options::Tolerances, state::State, step::Attempt, tableau::ButcherTableau,
};

/// `dy/dt = f(t, y)`.
///
/// `eval` takes `&mut self`, so that a field may keep scratch space; it must still return the same bits
/// for the same `t` and `y`.
pub trait VectorField {
    /// The state `y` and its derivative.
    type State: State;

    /// Writes `f(t, y)` into `dy`, whose old contents mean nothing.
    ///
    /// # Errors
    /// [`SolveError`] if the field cannot be evaluated. A value that is not finite is no error here:
    /// the loop finds it and shrinks the step.
    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError>;

    /// Computes the stages, the end state and the scaled norm of the error of `step`, given its start, its
    /// size and its first stage: `S - 1` evaluations. The norm is not finite if the end state is not.
    ///
    /// An engine may override it where a whole step is faster than its parts.
    ///
    /// # Errors
    /// Those of [`VectorField::eval`], and [`SolveError::Device`].
    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<Self::State, S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        step.by_parts(tableau, tolerances, |t, y, dy| self.eval(t, y, dy))
    }
}

/// A field with parameters `theta` and a vector-Jacobian product.
pub trait Differentiable: VectorField {
    /// A cotangent of the parameters.
    type Params: State;

    /// The zero cotangent of the parameters.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn zero_params(&mut self) -> Result<Self::Params, SolveError>;

    /// Writes `(df/dy)^T c` into `y_bar` and `(df/dtheta)^T c` into `theta_bar`, both at `(t, y)`, where
    /// `c` is `cotangent`; their old contents mean nothing. Costs about three evaluations of the field.
    ///
    /// # Errors
    /// [`SolveError`] if the product cannot be computed.
    fn vjp(
        &mut self,
        t: f64,
        y: &Self::State,
        cotangent: &Self::State,
        y_bar: &mut Self::State,
        theta_bar: &mut Self::Params,
    ) -> Result<(), SolveError>;
}
