//! Tiles of samples: a batch in blocks that fit a register row by row, with one step size for all.
//!
//! A call picks the processor's widest vector instructions once and runs straight-line code over all tiles. A whole
//! step, forward or backward, visits one tile after the other, so that its stages stay in the first cache, and threads
//! share the tiles without changing a bit.

mod erased;
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
        field::{back::StepNorms, Pushforward, VectorField},
        state::alike,
    },
    simd::{parallel, pool, real::Real},
};

pub use erased::{Erased, HostEngine, TileEngine};

use erased::{fits, AnyEngine, AnyKernel};
use forward::{Directions, StepCoefficients, StepRows, DIRECTIONS};
use pullback::Plan;
use state::{Params, Tiles};

/// A field over tiles, with scratch space for every thread.
pub struct FieldInTiles<G, E: Real, const N: usize, const L: usize> {
    pub(crate) field: G,
    pub(crate) arch: Arch,
    /// Scratch space of the kernels, one buffer per thread at work.
    scratch: Vec<Vec<Row<E, L>>>,
    /// One number per tile.
    norms: Vec<f64>,
    /// Sums and scratch space of the last pass backwards.
    groups: Vec<pullback::Group<E, L>>,
}

impl<G, E: Real, const N: usize, const L: usize> fmt::Debug for FieldInTiles<G, E, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldInTiles")
            .field("arch", &self.arch)
            .finish_non_exhaustive()
    }
}

impl<G, E: Real, const N: usize, const L: usize> Drop for FieldInTiles<G, E, N, L> {
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
        const {
            assert!(N > 0, "a state has at least one feature");
            assert_whole_blocks::<E, L>();
        };
        let mut norms: Vec<f64> = pool::take::<pool::Scratch, _>();
        norms.clear();
        Self::of(Box::new(FieldInTiles {
            field,
            arch: Arch::new(),
            scratch: Vec::new(),
            norms,
            groups: Vec::new(),
        }))
    }

    /// The same engine under other instructions than the widest ones; see
    /// [`instruction_sets`](crate::simd::isa::instruction_sets).
    #[must_use]
    pub fn under(mut self, arch: Arch) -> Self {
        self.kernels.arch = arch;
        self
    }
}

impl<G: TileKernel<E, N, L>, E: Real, const N: usize, const L: usize> FieldInTiles<G, E, N, L> {
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
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize>
    FieldInTiles<Generated<K, E>, E, N, L>
{
    /// The products along some directions, and the value where `dy` takes it.
    fn jvps(
        &mut self,
        t: f64,
        y: &Tiles<E, L>,
        mut dy: Option<&mut Tiles<E, L>>,
        y_dots: &[Tiles<E, L>],
        theta_dots: &[Params<E>],
        outs: &mut [Tiles<E, L>],
    ) -> Result<(), SolveError> {
        fits(self, y)?;
        let others = y_dots.iter().chain(&*outs).chain(dy.as_deref());
        others.into_iter().try_for_each(|other| alike(y, other))?;
        if theta_dots.len() != y_dots.len() || outs.len() != y_dots.len() {
            return Err(SolveError::ShapeMismatch {
                expected: vec![y_dots.len()],
                found: vec![theta_dots.len(), outs.len()],
            });
        }
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
    for FieldInTiles<G, E, N, L>
{
    fn features(&self) -> usize {
        N
    }

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

impl<G: TileVjp<E, N, L>, E: Real, const N: usize, const L: usize> AnyEngine<E, L>
    for FieldInTiles<G, E, N, L>
{
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
        self.kernels
            .jvps(t, y, None, y_dots, theta_dots, slice::from_mut(out))
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
        self.kernels.jvps(t, y, Some(dy), y_dots, theta_dots, outs)
    }
}
