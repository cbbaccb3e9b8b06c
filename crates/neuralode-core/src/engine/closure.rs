//! Fields written as closures: one small system, or a batch of them in tiles.

use core::{fmt, marker::PhantomData};

use pulp::{Arch, Simd};

use crate::{
    engine::{
        point::{attempt, PointKernel},
        tiles::HostEngine,
    },
    kernel::{
        field::TileKernel,
        tile::{Row, Tile},
    },
    ode::{
        error::SolveError, field::VectorField, method::ButcherTableau, options::Tolerances,
        step::Attempt,
    },
    simd::{isa::Compiled, real::Real},
};

/// A vector field `f(t, y)` of `N` numbers without parameters, as a closure.
///
/// It solves, and has no gradients, because a closure has no vector-Jacobian product. Used as it is, it solves one system
/// whose state is an array, without buffers. [`FnField::batch`] makes an engine that solves many at once, with one step size for all
/// ([`record`](crate::ode::solve::record)) or one for each
/// ([`solve_per_sample`](crate::engine::per_sample::solve_per_sample)).
///
/// # Examples
/// ```
/// use neuralode_core::{
///     ode::{method::TSIT5, solve::record},
///     FnField, SolveOptions,
/// };
///
/// let mut lorenz = FnField::new(|_t, [x, y, z]: &[f64; 3]| {
///     [10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z]
/// });
/// let options = SolveOptions::new(0.0, 10.0, 1e-9, 1e-9);
/// let solution = record(&mut lorenz, &TSIT5, [1.0, 0.0, 0.0], &options, &mut ())?;
/// assert!(solution.y.iter().all(|y| y.abs() < 50.0));
/// # Ok::<(), neuralode_core::SolveError>(())
/// ```
#[derive(Clone, Copy)]
pub struct FnField<F, E, const N: usize> {
    f: F,
    arch: Arch,
    state: PhantomData<[E; N]>,
}

impl<F, E, const N: usize> fmt::Debug for FnField<F, E, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnField")
            .field("features", &N)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize> FnField<F, E, N> {
    /// The field of this closure.
    pub fn new(f: F) -> Self {
        Self {
            f,
            arch: Arch::new(),
            state: PhantomData,
        }
    }

    /// An engine for a batch of states, in tiles of 64 samples. The closure runs for all samples of a tile at once
    /// where the compiler can vectorise it: it is fastest without branches.
    pub fn batch(self) -> HostEngine<Self, E, N, 64>
    where
        F: Sync,
    {
        self.batch_of()
    }

    /// [`FnField::batch`] in tiles of `L` samples, a multiple of 32 in f32 and of 16 in f64: whole blocks of the widest
    /// registers. Other numbers do not compile. Each stage of a step waits for the one before, so that a tile should
    /// give the processor much to do at a time: it is fastest with about 256 numbers of f32 or 128 of f64 in its state,
    /// half of that with steps for each sample.
    ///
    /// ```compile_fail,E0080
    /// use neuralode_core::FnField;
    ///
    /// // Half a block: under AVX-512 its loops would do nothing.
    /// let _ = FnField::new(|_t, y: &[f32; 1]| [-y[0]]).batch_of::<16>();
    /// ```
    pub fn batch_of<const L: usize>(self) -> HostEngine<Self, E, N, L>
    where
        F: Sync,
    {
        HostEngine::with_field(self)
    }
}

impl<F, E, const N: usize> Compiled for FnField<F, E, N> {
    const BASELINE: bool = true;
}

impl<F: Fn(f64, &[E; N]) -> [E; N] + Sync, E: Real, const N: usize, const L: usize>
    TileKernel<E, N, L> for FnField<F, E, N>
{
    fn scratch(&self) -> usize {
        0
    }

    fn products(&self) -> usize {
        // What the closure does is not known; a few products per feature are likely.
        4 * N
    }

    #[inline(always)]
    fn eval<S: Simd>(
        &self,
        _: S,
        t: &[f64; L],
        y: &Tile<E, N, L>,
        dy: &mut Tile<E, N, L>,
        _: &mut [Row<E, L>],
    ) {
        for l in 0..L {
            let value = (self.f)(t[l], &core::array::from_fn(|n| y[n][l]));
            for (dy, value) in dy.iter_mut().zip(value) {
                dy[l] = value;
            }
        }
    }
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize> VectorField for FnField<F, E, N> {
    type State = [E; N];

    fn eval(&mut self, t: f64, y: &[E; N], dy: &mut [E; N]) -> Result<(), SolveError> {
        *dy = (self.f)(t, y);
        Ok(())
    }

    #[inline(always)]
    fn attempt<const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Attempt<[E; N], S>,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        attempt(self.arch, self, tableau, step, tolerances)
    }
}

impl<F: Fn(f64, &[E; N]) -> [E; N], E: Real, const N: usize> PointKernel<E, N>
    for FnField<F, E, N>
{
    #[inline(always)]
    fn eval<S: Simd>(&self, _: S, t: f64, y: &[E; N]) -> [E; N] {
        (self.f)(t, y)
    }
}
