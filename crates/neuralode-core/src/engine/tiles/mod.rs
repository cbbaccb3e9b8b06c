//! Tiles of samples: a batch in blocks that fit a register row by row, with one step size for all.
//!
//! A call picks the processor's widest vector instructions once and runs straight-line code over all tiles. A whole step,
//! forward or backward, visits one tile after the other, so that its stages stay in the first cache, and threads share
//! the tiles without changing a bit.

pub mod erased;
pub(crate) mod forward;
pub(crate) mod pullback;
pub mod state;

use core::{fmt, slice};

use pulp::Arch;

use crate::{
    kernel::{
        blocks::assert_whole_blocks,
        field::{Generated, TileField, TileKernel, TileVjp},
        tile::Row,
    },
    ode::{
        error::SolveError,
        field::{
            back::{self, Cotangent, Part, StepNorms, WalkBack},
            Differentiable, Pushforward, VectorField,
        },
        method::ButcherTableau,
        options::Tolerances,
        step::{Attempt, Step},
    },
    simd::{parallel, pool, real::Real},
};

use erased::{AnyEngine, AnyKernel};
use forward::{Directions, StepCoefficients, StepRows, DIRECTIONS};
use pullback::Plan;
use state::{Params, Tiles};

/// A field of kernels as the solvers see it, with scratch space for every thread.
pub struct HostEngine<G, E: Real, const N: usize, const L: usize> {
    pub(crate) field: G,
    pub(crate) arch: Arch,
    /// Scratch space of the kernels, one buffer per thread at work.
    scratch: Vec<Vec<Row<E, L>>>,
    /// One number per tile.
    norms: Vec<f64>,
    /// Elsewhere while a step is computed.
    coefficients: Option<Box<StepCoefficients<E>>>,
    /// Sums and scratch space of the last pass backwards.
    groups: Vec<pullback::Group<E, L>>,
}

impl<G, E: Real, const N: usize, const L: usize> fmt::Debug for HostEngine<G, E, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostEngine")
            .field("arch", &self.arch)
            .finish_non_exhaustive()
    }
}

impl<G, E: Real, const N: usize, const L: usize> Drop for HostEngine<G, E, N, L> {
    fn drop(&mut self) {
        for scratch in self.scratch.drain(..) {
            pool::give::<pool::Scratch, _>(scratch);
        }
        pool::give::<pool::Scratch, _>(core::mem::take(&mut self.norms));
    }
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> HostEngine<G, E, N, L> {
    /// An engine for this field. Compiles for tiles of a multiple of 32 samples in f32, and of 16 in f64.
    pub fn with_field(field: G) -> Self {
        const { assert_whole_blocks::<E, L>() };
        let mut norms: Vec<f64> = pool::take::<pool::Scratch, _>();
        norms.clear();
        Self {
            field,
            arch: Arch::new(),
            scratch: Vec::new(),
            norms,
            coefficients: None,
            groups: Vec::new(),
        }
    }

    /// The same engine under other instructions than the widest ones; see [`instruction_sets`](crate::simd::isa::instruction_sets).
    #[must_use]
    pub fn under(mut self, arch: Arch) -> Self {
        self.arch = arch;
        self
    }

    /// Makes sure that there is scratch space for so many threads.
    fn provide_scratch(&mut self, threads: usize) {
        // One tile for the argument of a stage.
        let rows = N + self.field.scratch();
        while self.scratch.len() < threads {
            let mut scratch = pool::take::<pool::Scratch, _>();
            scratch.resize(rows, Row::default());
            self.scratch.push(scratch);
        }
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize>
    HostEngine<Generated<K, E>, E, N, L>
{
    /// A generated field with these parameters; `None` unless there are as many as it has, and the processor
    /// has vector instructions.
    pub fn new(params: Vec<E>) -> Option<Self> {
        Generated::new(params).map(Self::with_field)
    }

    /// The products along some directions, and the value where `dy` takes it.
    fn jvps(
        &mut self,
        t: f64,
        y: &Tiles<E, N, L>,
        mut dy: Option<&mut Tiles<E, N, L>>,
        y_dots: &[Tiles<E, N, L>],
        theta_dots: &[Params<E>],
        outs: &mut [Tiles<E, N, L>],
    ) -> Result<(), SolveError> {
        if let Some(Params(wrong)) = theta_dots.iter().find(|dot| dot.0.len() != K::PARAMS) {
            return Err(SolveError::ShapeMismatch {
                expected: vec![K::PARAMS],
                found: vec![wrong.len()],
            });
        }
        let tiles = y.rows().len() / N.max(1);
        let places = y_dots.chunks(DIRECTIONS).zip(outs.chunks_mut(DIRECTIONS));
        for (theta_dots, (y_dots, outs)) in theta_dots.chunks(DIRECTIONS).zip(places) {
            let work = K::PRODUCTS * tiles * L * (1 + 2 * theta_dots.len());
            let threads = parallel::threads(work, tiles);
            self.provide_scratch(threads);
            forward::eval_with_jvps(
                self.arch,
                &self.field,
                t,
                Directions::new(y, dy.take(), theta_dots, y_dots, outs),
                &mut self.scratch[..threads],
            );
        }
        Ok(())
    }
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> AnyKernel<E, L>
    for HostEngine<G, E, N, L>
{
    fn eval(&mut self, t: f64, y: &[Row<E, L>], dy: &mut [Row<E, L>]) {
        let (y, dy) = (y.as_chunks().0, dy.as_chunks_mut().0);
        let threads = parallel::threads(self.field.products() * y.len() * L, y.len());
        self.provide_scratch(threads);
        forward::eval(
            self.arch,
            &self.field,
            t,
            (y, dy),
            &mut self.scratch[..threads],
        );
    }

    fn attempt(
        &mut self,
        coefficients: &StepCoefficients<E>,
        step: StepRows<'_, E, L>,
    ) -> Option<f64> {
        let samples = step.samples;
        let tiles = samples.div_ceil(L);
        let work = self.field.products() * tiles * L * coefficients.evaluations;
        let threads = parallel::threads(work, tiles);
        self.provide_scratch(threads);
        self.norms.resize(tiles, 0.0);
        let sum = forward::attempt(
            self.arch,
            &self.field,
            coefficients,
            step,
            &mut self.norms,
            &mut self.scratch[..threads],
        );
        #[allow(clippy::cast_precision_loss, reason = "no state has 2^53 scalars")]
        let count = (samples * N).max(1) as f64;
        sum.is_finite().then_some(sum / count)
    }
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> VectorField
    for HostEngine<G, E, N, L>
{
    type State = Tiles<E, N, L>;

    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        AnyKernel::eval(self, t, y.rows(), dy.rows_mut());
        Ok(())
    }

    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<Self::State, S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let kept = self.coefficients.take();
        let mut coefficients = kept.unwrap_or_else(|| Box::new(StepCoefficients::none()));
        let square = erased::attempt(self, &mut coefficients, tableau, step, tolerances);
        self.coefficients = Some(coefficients);
        square
    }
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> AnyEngine<E, L>
    for HostEngine<G, E, N, L>
{
    fn features(&self) -> usize {
        N
    }

    fn parameters(&self) -> usize {
        self.field.parameters()
    }

    fn has_kinks(&self) -> bool {
        self.field.has_kinks()
    }

    fn vjp(
        &mut self,
        t: f64,
        (y, c): (&[Row<E, L>], &[Row<E, L>]),
        y_bar: &mut [Row<E, L>],
        theta_bar: &mut [E],
    ) {
        pullback::vjp(
            self.arch,
            &self.field,
            t,
            (y.as_chunks().0, c.as_chunks().0),
            y_bar.as_chunks_mut().0,
            theta_bar,
            &mut self.groups,
        );
    }

    fn pull_back(
        &mut self,
        plan: &Plan<'_, E, L>,
        lambda: &mut [Row<E, L>],
        theta_bar: &mut [E],
        norms: &mut Vec<StepNorms>,
    ) -> usize {
        pullback::pull_back_steps(
            self.arch,
            &self.field,
            plan,
            (lambda.as_chunks_mut().0, theta_bar),
            norms,
            &mut self.groups,
        )
    }
}

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> Differentiable
    for HostEngine<G, E, N, L>
{
    type Params = Params<E>;

    fn zero_params(&mut self) -> Result<Params<E>, SolveError> {
        Ok(Params(vec![E::default(); self.field.parameters()]))
    }

    fn has_kinks(&self) -> bool {
        self.field.has_kinks()
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
        AnyEngine::vjp(self, t, from, y_bar.rows_mut(), &mut theta_bar.0);
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
                Ok(self.pull_back(&plan, lambda, theta_bar, &mut back.norms))
            }
            None => back::pull_back_steps(self, tableau, steps, cotangents, back),
        }
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> Pushforward
    for HostEngine<Generated<K, E>, E, N, L>
{
    type Params = Params<E>;

    /// # Errors
    /// [`SolveError::ShapeMismatch`] if `theta_dot` has not as many numbers as the field has parameters.
    fn jvp(
        &mut self,
        t: f64,
        y: &Self::State,
        y_dot: &Self::State,
        theta_dot: &Params<E>,
        out: &mut Self::State,
    ) -> Result<(), SolveError> {
        let (y_dots, theta_dots) = (slice::from_ref(y_dot), slice::from_ref(theta_dot));
        self.jvps(t, y, None, y_dots, theta_dots, slice::from_mut(out))
    }

    /// The layers' values are computed once for up to eight directions.
    fn eval_with_jvps(
        &mut self,
        t: f64,
        y: &Self::State,
        dy: &mut Self::State,
        y_dots: &[Self::State],
        theta_dots: &[Params<E>],
        outs: &mut [Self::State],
    ) -> Result<(), SolveError> {
        if y_dots.is_empty() {
            return VectorField::eval(self, t, y, dy);
        }
        self.jvps(t, y, Some(dy), y_dots, theta_dots, outs)
    }
}
