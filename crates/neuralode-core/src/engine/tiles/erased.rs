//! A field in tiles as the solvers see it, with its type or without.

use core::{fmt, ops::DerefMut};

use crate::{
    engine::tiles::{
        forward::{StepCoefficients, StepRows},
        pullback::Plan,
        state::{Params, Tiles},
        FieldInTiles,
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
        state::alike,
        step::{Attempt, Step},
    },
    simd::real::Real,
};

/// What a forward solve asks of a field in tiles, a whole pass over all tiles at a time.
pub trait AnyKernel<E: Real, const L: usize> {
    /// Features of a sample.
    fn features(&self) -> usize;

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
pub trait AnyEngine<E: Real, const L: usize>: AnyKernel<E, L> {
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

/// A field in tiles as the solvers see it: [`HostEngine`] with the field's type, [`Erased`] without.
pub struct TileEngine<K, E, const L: usize> {
    pub(crate) kernels: K,
    coefficients: StepCoefficients<E>,
}

/// A field whose type is known: what a solve compiles is made for it.
pub type HostEngine<G, E, const N: usize, const L: usize> =
    TileEngine<Box<FieldInTiles<G, E, N, L>>, E, L>;

/// A field behind a pointer, so that loop and adjoints over it are compiled once, for all fields. A pass over all tiles
/// costs one call through that pointer more.
pub type Erased<E, const L: usize> = TileEngine<Box<dyn AnyEngine<E, L>>, E, L>;

impl<K, E, const L: usize> fmt::Debug for TileEngine<K, E, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileEngine").finish_non_exhaustive()
    }
}

impl<K, E: Real, const L: usize> TileEngine<K, E, L> {
    pub(super) fn of(kernels: K) -> Self {
        Self {
            kernels,
            coefficients: StepCoefficients::none(),
        }
    }
}

impl<G: TileVjp<E, N, L> + 'static, E: Real, const N: usize, const L: usize>
    HostEngine<G, E, N, L>
{
    /// The same field without its type.
    pub fn erased(self) -> Erased<E, L> {
        TileEngine::of(self.kernels)
    }
}

impl<K, E: Real, const L: usize> TileEngine<K, E, L>
where
    K: DerefMut<Target: AnyEngine<E, L>>,
{
    /// An error unless there is a number for every parameter.
    fn fits_parameters(&self, theta_bar: &Params<E>) -> Result<(), SolveError> {
        let (expected, found) = (self.kernels.parameters(), theta_bar.0.len());
        if expected == found {
            return Ok(());
        }
        Err(SolveError::ShapeMismatch {
            expected: vec![expected],
            found: vec![found],
        })
    }
}

/// An error unless these states have the features of the field.
pub(super) fn fits<K: AnyKernel<E, L> + ?Sized, E: Real, const L: usize>(
    kernels: &K,
    state: &Tiles<E, L>,
) -> Result<(), SolveError> {
    if kernels.features() == state.features() {
        return Ok(());
    }
    Err(SolveError::ShapeMismatch {
        expected: vec![kernels.features()],
        found: vec![state.features()],
    })
}

impl<K, E: Real, const L: usize> VectorField for TileEngine<K, E, L>
where
    K: DerefMut<Target: AnyKernel<E, L>>,
{
    type State = Tiles<E, L>;

    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        fits(&*self.kernels, y)?;
        alike(y, dy)?;
        self.kernels.eval(t, y.rows(), dy.rows_mut());
        Ok(())
    }

    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<Self::State, S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        fits(&*self.kernels, &step.y)?;
        if !self.coefficients.set(tableau, step, tolerances) {
            return step.by_parts(tableau, tolerances, |t, y, dy| self.eval(t, y, dy));
        }
        let square = self.kernels.attempt(&self.coefficients, StepRows::of(step));
        // The squares of f32 overflow long before the numbers do: look again in f64.
        square.map_or_else(|| step.error_square(tableau, tolerances), Ok)
    }
}

impl<K, E: Real, const L: usize> Differentiable for TileEngine<K, E, L>
where
    K: DerefMut<Target: AnyEngine<E, L>>,
{
    type Params = Params<E>;

    fn zero_params(&mut self) -> Result<Params<E>, SolveError> {
        Ok(Params(vec![E::default(); self.kernels.parameters()]))
    }

    fn has_kinks(&self) -> bool {
        self.kernels.has_kinks()
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &Self::State,
        cotangent: &Self::State,
        y_bar: &mut Self::State,
        theta_bar: &mut Params<E>,
    ) -> Result<(), SolveError> {
        fits(&*self.kernels, y)?;
        alike(y, cotangent)?;
        alike(y, y_bar)?;
        self.fits_parameters(theta_bar)?;
        let from = (y.rows(), cotangent.rows());
        self.kernels
            .vjp(t, from, y_bar.rows_mut(), &mut theta_bar.0);
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
        fits(&*self.kernels, &back.lambda)?;
        self.fits_parameters(&back.theta_bar)?;
        for step in steps {
            alike(&back.lambda, &step.y)?;
        }
        for cotangent in cotangents {
            alike(&back.lambda, &cotangent.value)?;
        }
        match Plan::new(tableau, steps, cotangents, part) {
            Some(plan) => {
                let (lambda, theta_bar) = (back.lambda.rows_mut(), &mut back.theta_bar.0);
                let norms = &mut back.norms;
                Ok(self.kernels.pull_back(&plan, lambda, theta_bar, norms))
            }
            None => back::pull_back_steps(self, tableau, steps, cotangents, back),
        }
    }
}
