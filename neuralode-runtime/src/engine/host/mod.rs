//! The host engine: states in flat, tile-ordered buffers on the processor, fields as generated kernels.
//!
//! Nothing is allocated or dispatched inside a solver's step: a call picks the processor's widest vector
//! instructions once and runs straight-line code over all tiles.

#![allow(
    clippy::inline_always,
    reason = "only code inlined into a dispatched function runs under its vector instructions"
)]

pub mod buffer;
pub mod kernel;
pub mod real;
pub mod rows;
pub(crate) mod storage;

use core::{fmt, marker::PhantomData};

use pulp::{Arch, NullaryFnOnce};

use crate::{
    error::SolveError,
    options::Tolerances,
    state::{exact_square_sum, worst_of, State},
    vector_field::{Differentiable, VectorField},
};

use kernel::{join, Sums, Tile, TileField, WIDTH};
use real::Real;

/// A batch of states of `N` features in tiles of `L` samples.
///
/// Lanes of the last tile that belong to no sample repeat the last one, so that they are as harmless as it;
/// norms and gradients leave them out.
#[derive(Clone, Debug)]
pub struct Tiles<E, const N: usize, const L: usize> {
    samples: usize,
    tiles: Vec<Tile<E, N, L>>,
}

impl<E: Real, const N: usize, const L: usize> Tiles<E, N, L> {
    /// From `samples` rows of `N` features.
    pub fn from_rows(rows: &[E]) -> Self {
        let samples = rows.len() / N.max(1);
        let mut tiles = vec![[[E::default(); L]; N]; samples.div_ceil(L)];
        for (index, tile) in tiles.iter_mut().enumerate() {
            for lane in 0..L {
                let sample = (index * L + lane).min(samples - 1);
                for (feature, row) in tile.iter_mut().zip(&rows[sample * N..]) {
                    feature[lane] = *row;
                }
            }
        }
        Self { samples, tiles }
    }

    /// The samples as rows of `N` features.
    pub fn to_rows(&self) -> Vec<E> {
        let mut rows = vec![E::default(); self.samples * N];
        for (sample, row) in rows.chunks_exact_mut(N.max(1)).enumerate() {
            let tile = &self.tiles[sample / L];
            for (x, feature) in row.iter_mut().zip(tile) {
                *x = feature[sample % L];
            }
        }
        rows
    }

    /// The same with zeros in the lanes that belong to no sample: what a cotangent must have.
    #[must_use]
    pub fn with_empty_padding(mut self) -> Self {
        let used = self.samples % L;
        if let (Some(tile), true) = (self.tiles.last_mut(), used > 0) {
            for feature in tile {
                feature[used..].fill(E::default());
            }
        }
        self
    }

    fn scalars(&self) -> &[E] {
        self.tiles.as_flattened().as_flattened()
    }

    fn scalars_mut(&mut self) -> &mut [E] {
        self.tiles.as_flattened_mut().as_flattened_mut()
    }
}

/// The longest combination that is gathered at once; longer ones take several passes.
const TERMS: usize = 16;

/// `out = base + sum(c x)` over all terms, in one pass through memory.
struct Combine<'a, E> {
    base: &'a [E],
    terms: &'a [(E, &'a [E])],
    out: &'a mut [E],
}

impl<E: Real> NullaryFnOnce for Combine<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        /// Scalars that stay in registers while the terms are added.
        const CHUNK: usize = 64;
        let length = self.out.len();
        let mut start = 0;
        while start + CHUNK <= length {
            let mut sum = [E::default(); CHUNK];
            sum.copy_from_slice(&self.base[start..start + CHUNK]);
            for (c, x) in self.terms {
                let x = &x[start..start + CHUNK];
                for l in 0..CHUNK {
                    sum[l] = c.mul_add(x[l], sum[l]);
                }
            }
            self.out[start..start + CHUNK].copy_from_slice(&sum);
            start += CHUNK;
        }
        for index in start..length {
            let mut sum = self.base[index];
            for (c, x) in self.terms {
                sum = c.mul_add(x[index], sum);
            }
            self.out[index] = sum;
        }
    }
}

fn combine<'a, E: Real>(base: &[E], terms: impl Iterator<Item = (f64, &'a [E])>, out: &mut [E]) {
    let mut gathered: [(E, &[E]); TERMS] = [(E::default(), &[]); TERMS];
    let mut count = 0;
    let arch = Arch::new();
    let mut first = true;
    for (c, x) in terms {
        if count == TERMS {
            let sum = if first { base.to_vec() } else { out.to_vec() };
            arch.dispatch(Combine {
                base: &sum,
                terms: &gathered,
                out,
            });
            (first, count) = (false, 0);
        }
        gathered[count] = (E::from_f64(c), x);
        count += 1;
    }
    let terms = &gathered[..count];
    if first {
        arch.dispatch(Combine { base, terms, out });
    } else {
        let sum = out.to_vec();
        arch.dispatch(Combine {
            base: &sum,
            terms,
            out,
        });
    }
}

/// The sums over features of the squared scaled errors, lane by lane, then over lanes and tiles in f64.
struct ScaledSquares<'a, E, const N: usize, const L: usize> {
    error: &'a Tiles<E, N, L>,
    y0: &'a Tiles<E, N, L>,
    y1: &'a Tiles<E, N, L>,
    rtol: E,
    atol: E,
}

impl<E: Real, const N: usize, const L: usize> NullaryFnOnce for ScaledSquares<'_, E, N, L> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let mut total = 0.0;
        let mut left = self.error.samples;
        let states = self.y0.tiles.iter().zip(&self.y1.tiles);
        for (error, (y0, y1)) in self.error.tiles.iter().zip(states) {
            let mut sums = [E::default(); L];
            for (error, (y0, y1)) in error.iter().zip(y0.iter().zip(y1)) {
                for l in 0..L {
                    let size = y0[l].abs().max(y1[l].abs());
                    let scaled = error[l] / self.rtol.mul_add(size, self.atol);
                    // Zero for a finite state, NaN otherwise: an infinite `y1` would hide in the scale.
                    let guard = y1[l] * E::default();
                    sums[l] = scaled.mul_add(scaled, sums[l] + guard);
                }
            }
            for sum in &sums[..left.min(L)] {
                total += sum.to_f64();
            }
            left -= left.min(L);
        }
        total
    }
}

impl<E: Real, const N: usize, const L: usize> State for Tiles<E, N, L> {
    fn len(&self) -> usize {
        self.samples * N
    }

    fn epsilon(&self) -> f64 {
        E::EPSILON
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let terms = terms.map(|(c, x)| (c, x.scalars()));
        combine(self.scalars(), terms, out.scalars_mut());
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self {
            samples: self.samples,
            tiles: vec![[[E::default(); L]; N]; self.tiles.len()],
        })
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let sum = Arch::new().dispatch(ScaledSquares {
            error,
            y0,
            y1,
            rtol: E::from_f64(tolerances.rtol),
            atol: E::from_f64(tolerances.atol),
        });
        if sum.is_finite() {
            return Ok(sum);
        }
        // The squares of f32 overflow long before the numbers do: look again in f64.
        Ok(exact_square_sum(scaled_errors(error, y0, y1, tolerances)))
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        worst_of(scaled_errors(error, y0, y1, tolerances), N)
    }
}

/// Every scalar's error over its scale, with the scalar of `y1`, in f64 and in the order of samples.
fn scaled_errors<E: Real, const N: usize, const L: usize>(
    error: &Tiles<E, N, L>,
    y0: &Tiles<E, N, L>,
    y1: &Tiles<E, N, L>,
    tolerances: &Tolerances,
) -> impl Iterator<Item = (f64, f64)> {
    let Tolerances { rtol, atol } = *tolerances;
    let y = y0.to_rows().into_iter().zip(y1.to_rows());
    let errors = error.to_rows().into_iter().zip(y);
    errors.map(move |(error, (y0, y1))| {
        let (error, y0, y1) = (error.to_f64(), y0.to_f64(), y1.to_f64());
        (error.abs() / (atol + rtol * y0.abs().max(y1.abs())), y1)
    })
}

/// A cotangent of all parameters of a field, in the order in which dfdx visits them.
#[derive(Clone, Debug)]
pub struct Params<E>(pub Vec<E>);

impl<E: Real> State for Params<E> {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn epsilon(&self) -> f64 {
        E::EPSILON
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let terms = terms.map(|(c, x)| (c, x.0.as_slice()));
        combine(&self.0, terms, &mut out.0);
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        Ok(Self(vec![E::default(); self.0.len()]))
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let mut sum = 0.0;
        for ((error, y0), y1) in error.0.iter().zip(&y0.0).zip(&y1.0) {
            let (y0, y1) = (y0.to_f64(), y1.to_f64());
            let scale = tolerances.atol + tolerances.rtol * y0.abs().max(y1.abs());
            let scaled = error.to_f64() / scale;
            sum += scaled.mul_add(scaled, y1 * 0.0);
        }
        Ok(sum)
    }

    fn worst_sample(_: &Self, _: &Self, _: &Self, _: &Tolerances) -> Option<usize> {
        None
    }
}

/// A generated field with its parameters, as the solvers see it.
pub struct HostEngine<K, E, const N: usize, const L: usize> {
    params: Vec<E>,
    /// Scratch of a vector-Jacobian product, one entry per parameter.
    sums: Vec<Sums<E>>,
    arch: Arch,
    field: PhantomData<K>,
}

impl<K, E, const N: usize, const L: usize> fmt::Debug for HostEngine<K, E, N, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostEngine")
            .field("params", &self.params.len())
            .field("arch", &self.arch)
            .finish_non_exhaustive()
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> HostEngine<K, E, N, L> {
    /// A field with these parameters; `None` unless there are as many as it has.
    pub fn new(params: Vec<E>) -> Option<Self> {
        const {
            assert!(L.is_multiple_of(WIDTH), "tiles are whole vectors");
        }
        (params.len() == K::PARAMS).then(|| Self {
            sums: vec![[E::default(); WIDTH]; params.len()],
            params,
            arch: Arch::new(),
            field: PhantomData,
        })
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> HostEngine<K, E, N, L> {
    /// Writes the Jacobian-vector product `(df/dy) v` at `(t, y)` into `out`. Costs about two evaluations.
    pub fn jvp(
        &mut self,
        t: f64,
        y: &Tiles<E, N, L>,
        v: &Tiles<E, N, L>,
        out: &mut Tiles<E, N, L>,
    ) {
        self.arch.dispatch(Jvp {
            params: &self.params,
            t,
            y: &y.tiles,
            v: &v.tiles,
            out: &mut out.tiles,
            field: self.field,
        });
    }
}

struct Jvp<'a, K, E, const N: usize, const L: usize> {
    params: &'a [E],
    t: f64,
    y: &'a [Tile<E, N, L>],
    v: &'a [Tile<E, N, L>],
    out: &'a mut [Tile<E, N, L>],
    field: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> NullaryFnOnce
    for Jvp<'_, K, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for ((y, v), out) in self.y.iter().zip(self.v).zip(self.out) {
            K::jvp(self.params, self.t, y, v, out);
        }
    }
}

struct Eval<'a, K, E, const N: usize, const L: usize> {
    params: &'a [E],
    t: f64,
    y: &'a [Tile<E, N, L>],
    dy: &'a mut [Tile<E, N, L>],
    field: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> NullaryFnOnce
    for Eval<'_, K, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (y, dy) in self.y.iter().zip(self.dy) {
            K::eval(self.params, self.t, y, dy);
        }
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> VectorField
    for HostEngine<K, E, N, L>
{
    type State = Tiles<E, N, L>;

    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        self.arch.dispatch(Eval {
            params: &self.params,
            t,
            y: &y.tiles,
            dy: &mut dy.tiles,
            field: self.field,
        });
        Ok(())
    }
}

struct Vjp<'a, K, E, const N: usize, const L: usize> {
    params: &'a [E],
    t: f64,
    y: &'a [Tile<E, N, L>],
    cotangent: &'a [Tile<E, N, L>],
    y_bar: &'a mut [Tile<E, N, L>],
    sums: &'a mut [Sums<E>],
    theta_bar: &'a mut [E],
    field: PhantomData<K>,
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> NullaryFnOnce
    for Vjp<'_, K, E, N, L>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.sums.fill([E::default(); WIDTH]);
        let results = self.cotangent.iter().zip(self.y_bar);
        for (y, (cotangent, y_bar)) in self.y.iter().zip(results) {
            K::vjp(self.params, self.t, y, cotangent, y_bar, self.sums);
        }
        for (bar, sums) in self.theta_bar.iter_mut().zip(self.sums) {
            *bar = join(*sums);
        }
    }
}

impl<K: TileField<N>, E: Real, const N: usize, const L: usize> Differentiable
    for HostEngine<K, E, N, L>
{
    type Params = Params<E>;

    fn zero_params(&mut self) -> Result<Params<E>, SolveError> {
        Ok(Params(vec![E::default(); self.params.len()]))
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &Self::State,
        cotangent: &Self::State,
        y_bar: &mut Self::State,
        theta_bar: &mut Params<E>,
    ) -> Result<(), SolveError> {
        self.arch.dispatch(Vjp {
            params: &self.params,
            t,
            y: &y.tiles,
            cotangent: &cotangent.tiles,
            y_bar: &mut y_bar.tiles,
            sums: &mut self.sums,
            theta_bar: &mut theta_bar.0,
            field: self.field,
        });
        Ok(())
    }
}
