//! Host engines whose field is not in their type, so that loop and adjoints over them are compiled once.

use core::fmt;

use crate::{
    engine::tiles::{
        forward::{StepCoefficients, StepRows},
        pullback::Plan,
        state::{Params, Tiles, ANY},
        HostEngine,
    },
    kernel::{field::TileVjp, Row},
    ode::{
        error::SolveError,
        field::{
            back::{self, Cotangent, Part, StepNorms, WalkBack},
            Differentiable, VectorField,
        },
        method::ButcherTableau,
        options::Tolerances,
        step::{Attempt, Step},
    },
    simd::real::Real,
};

/// What a forward solve asks of a field in tiles, a whole pass over all tiles at a time.
pub(crate) trait AnyKernel<E: Real, const L: usize> {
    /// Writes `f(t, y)` into `dy`.
    fn eval(&mut self, t: f64, y: &[Row<E, L>], dy: &mut [Row<E, L>]);

    /// A whole step; the mean square of its error, `None` if that is not finite.
    fn attempt(
        &mut self,
        coefficients: &StepCoefficients<E>,
        step: StepRows<'_, E, L>,
    ) -> Option<f64>;
}

/// What a solve and its adjoint ask of a field in tiles.
pub(crate) trait AnyEngine<E: Real, const L: usize>: AnyKernel<E, L> {
    /// Features of a sample.
    fn features(&self) -> usize;

    /// Number of parameters.
    fn parameters(&self) -> usize;

    /// See [`Differentiable::has_kinks`].
    fn has_kinks(&self) -> bool;

    /// Writes `(df/dy)^T c` into `y_bar` and `(df/dtheta)^T c` into `theta_bar`, given `(y, c)`.
    fn vjp(
        &mut self,
        t: f64,
        from: (&[Row<E, L>], &[Row<E, L>]),
        y_bar: &mut [Row<E, L>],
        theta_bar: &mut [E],
    );

    /// Pulls `lambda` back over the steps of `plan`, and adds the norms of each to `norms`; the number of products.
    fn pull_back(
        &mut self,
        plan: &Plan<'_, E, L>,
        lambda: &mut [Row<E, L>],
        theta_bar: &mut [E],
        norms: &mut Vec<StepNorms>,
    ) -> usize;
}

/// [`VectorField::attempt`] of a field in tiles, with or without a number of features in its type.
pub(crate) fn attempt<A, E: Real, const N: usize, const L: usize, const S: usize>(
    engine: &mut A,
    coefficients: &mut StepCoefficients<E>,
    tableau: &ButcherTableau<S>,
    step: &mut Attempt<Tiles<E, N, L>, S>,
    tolerances: &Tolerances,
) -> Result<f64, SolveError>
where
    A: AnyKernel<E, L> + ?Sized,
{
    if !coefficients.set(tableau, step, tolerances) {
        return step.by_parts(tableau, tolerances, |t, y, dy| {
            engine.eval(t, y.rows(), dy.rows_mut());
            Ok(())
        });
    }
    let square = engine.attempt(coefficients, StepRows::of(step));
    // The squares of f32 overflow long before the numbers do: look again in f64.
    square.map_or_else(|| step.error_square(tableau, tolerances), Ok)
}

/// A [`HostEngine`] without its field and its number of features in the type. A pass over all tiles costs one call
/// through a pointer more.
pub struct Erased<E: Real, const L: usize> {
    engine: Box<dyn AnyEngine<E, L>>,
    coefficients: StepCoefficients<E>,
}

impl<E: Real, const L: usize> fmt::Debug for Erased<E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Erased")
            .field("features", &self.engine.features())
            .finish_non_exhaustive()
    }
}

impl<E: Real, const L: usize> Erased<E, L> {
    /// The same engine.
    pub fn new<G: TileVjp<E, N, L> + 'static, const N: usize>(
        engine: HostEngine<G, E, N, L>,
    ) -> Self {
        Self {
            engine: Box::new(engine),
            coefficients: StepCoefficients::none(),
        }
    }
}

impl<E: Real, const L: usize> VectorField for Erased<E, L> {
    type State = Tiles<E, ANY, L>;

    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        self.engine.eval(t, y.rows(), dy.rows_mut());
        Ok(())
    }

    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<Self::State, S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let engine = &mut *self.engine;
        attempt(engine, &mut self.coefficients, tableau, step, tolerances)
    }
}

impl<E: Real, const L: usize> Differentiable for Erased<E, L> {
    type Params = Params<E>;

    fn zero_params(&mut self) -> Result<Params<E>, SolveError> {
        Ok(Params(vec![E::default(); self.engine.parameters()]))
    }

    fn has_kinks(&self) -> bool {
        self.engine.has_kinks()
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &Self::State,
        cotangent: &Self::State,
        y_bar: &mut Self::State,
        theta_bar: &mut Params<E>,
    ) -> Result<(), SolveError> {
        let from = (y.rows(), cotangent.rows());
        self.engine.vjp(t, from, y_bar.rows_mut(), &mut theta_bar.0);
        Ok(())
    }

    fn pull_back_steps<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        steps: &[Step<Self::State, [Self::State; S]>],
        cotangents: &[Cotangent<Self::State>],
        back: &mut WalkBack<Self::State, Params<E>>,
    ) -> Result<usize, SolveError> {
        self.pull_back_part(tableau, steps, cotangents, back, Part::WHOLE)
    }

    fn pull_back_part<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        steps: &[Step<Self::State, [Self::State; S]>],
        cotangents: &[Cotangent<Self::State>],
        back: &mut WalkBack<Self::State, Params<E>>,
        part: Part,
    ) -> Result<usize, SolveError> {
        match Plan::new(tableau, steps, cotangents, part) {
            Some(plan) => {
                let (lambda, theta_bar) = (back.lambda.rows_mut(), &mut back.theta_bar.0);
                Ok(self
                    .engine
                    .pull_back(&plan, lambda, theta_bar, &mut back.norms))
            }
            None => back::pull_back_steps(self, tableau, steps, cotangents, back),
        }
    }
}
