//! The right-hand side of a differential equation, as the solvers see it.

pub mod back;

use crate::ode::{
    error::SolveError,
    field::back::{Cotangent, Part, WalkBack},
    method::ButcherTableau,
    options::Tolerances,
    state::State,
    step::{Attempt, Step},
};

/// `dy/dt = f(t, y)`.
///
/// `eval` takes `&mut self`, so that a field may keep scratch space; it must still return the same bits
/// for the same `t` and `y`.
pub trait VectorField {
    /// The state `y` and its derivative.
    type State: State;

    /// Whether solves of this field can take a neighbour of the solution along
    /// ([`Control::Gradients`](crate::ode::choices::Control::Gradients)); without, that code is not compiled.
    #[doc(hidden)]
    const GUIDED: bool = true;

    /// Writes `f(t, y)` into `dy`, whose old contents mean nothing.
    ///
    /// # Errors
    /// [`SolveError`] if the field cannot be evaluated. A value that is not finite is no error here:
    /// the loop finds it and shrinks the step.
    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError>;

    /// Computes the stages, the end state and the mean square of the scaled error of `step`, given its start, its
    /// size and its first stage: [`ButcherTableau::evaluations`]. The mean is not finite if the end state is not.
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

    /// Whether the derivative of `f` jumps somewhere, as that of a relu. The cheap sign of a gradient's error
    /// ([`crate::ode::adjoint::gradient_error`]) is made for smooth fields: in a field with kinks a smaller one leads
    /// to a second look. The macro answers for generated fields; a field by hand answers here.
    fn has_kinks(&self) -> bool {
        false
    }

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

    /// Pulls `back.lambda`, the cotangent of the state after the last of `steps`, back to the state before the
    /// first, adds the parameters' cotangent to `back.theta_bar`, leaves the norms of every step in `back.norms`, and
    /// returns the number of products.
    ///
    /// `cotangents` are those of saved points in these steps, in the order of the solve. Each belongs to the
    /// step with its time in `(t, t + h]` ([`back::by_step`]); at a step's end it adds to that state's
    /// cotangent, and a time that rounds to the end counts as the end. Points at the very start of a solve
    /// belong to no step: the caller adds them afterwards.
    ///
    /// The method is the one of [`adjoint::discrete`](crate::ode::adjoint::discrete), step by step through
    /// [`Differentiable::vjp`]. An engine overrides it to do the same faster.
    ///
    /// # Errors
    /// Those of [`Differentiable::vjp`], and [`SolveError::Device`].
    fn pull_back_steps<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        steps: &[Step<Self::State, [Self::State; S]>],
        cotangents: &[Cotangent<Self::State>],
        back: &mut WalkBack<Self::State, Self::Params>,
    ) -> Result<usize, SolveError> {
        back::pull_back_steps(self, tableau, steps, cotangents, back)
    }

    /// Does a part of what [`Differentiable::pull_back_steps`] does for all steps of a solve, the last steps first:
    /// for walks whose steps are never in memory together.
    ///
    /// All parts together give the bits of one call for all steps. Until the part that `ends` the walk, an engine
    /// may keep what belongs to `theta_bar` in sums of its own; between two parts nothing but evaluations
    /// ([`VectorField`]) may be asked of it. The default walks and adds at once.
    ///
    /// # Errors
    /// Those of [`Differentiable::pull_back_steps`].
    fn pull_back_part<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        steps: &[Step<Self::State, [Self::State; S]>],
        cotangents: &[Cotangent<Self::State>],
        back: &mut WalkBack<Self::State, Self::Params>,
        _part: Part,
    ) -> Result<usize, SolveError> {
        self.pull_back_steps(tableau, steps, cotangents, back)
    }
}

/// A field with parameters `theta` and a Jacobian-vector product: what
/// [`solve_with_tangents`](crate::ode::tangents::solve_with_tangents) needs.
///
/// A field without parameters has `Params = ()`.
pub trait Pushforward: VectorField {
    /// A tangent of the parameters: a direction in which they move.
    type Params;

    /// Writes `(df/dy) y_dot + (df/dtheta) theta_dot` at `(t, y)` into `out`, whose old contents mean nothing. Costs
    /// about two evaluations of the field.
    ///
    /// # Errors
    /// [`SolveError`] if the product cannot be computed. A value that is not finite is no error here.
    fn jvp(
        &mut self,
        t: f64,
        y: &Self::State,
        y_dot: &Self::State,
        theta_dot: &Self::Params,
        out: &mut Self::State,
    ) -> Result<(), SolveError>;

    /// Writes `f(t, y)` into `dy`, and the product with each of the pairs of `y_dots` and `theta_dots` into the place
    /// of `outs` that belongs to it; all three have the same length.
    ///
    /// The default is an evaluation, then one product after the other. An engine overrides it where they share work.
    ///
    /// # Errors
    /// Those of [`VectorField::eval`] and [`Pushforward::jvp`].
    fn eval_with_jvps(
        &mut self,
        t: f64,
        y: &Self::State,
        dy: &mut Self::State,
        y_dots: &[Self::State],
        theta_dots: &[Self::Params],
        outs: &mut [Self::State],
    ) -> Result<(), SolveError> {
        self.eval(t, y, dy)?;
        for ((y_dot, theta_dot), out) in y_dots.iter().zip(theta_dots).zip(outs) {
            self.jvp(t, y, y_dot, theta_dot, out)?;
        }
        Ok(())
    }
}
