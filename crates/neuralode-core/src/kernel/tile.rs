//! Tiles: samples side by side.
//!
//! A tile holds `L` samples, feature by feature: `x[i][l]` is feature `i` of sample `l`. Weights are broadcast
//! and samples fill the vector registers; sizes are constants, so that every block is chosen while compiling.

use core::ops::{Deref, DerefMut};

use pulp::Simd;

use crate::simd::real::Real;

/// One number for each of `L` samples, on cache lines of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub struct Row<E, const L: usize>(pub [E; L]);

impl<E: Real, const L: usize> Default for Row<E, L> {
    fn default() -> Self {
        Self([E::default(); L])
    }
}

impl<E, const L: usize> Deref for Row<E, L> {
    type Target = [E; L];

    #[inline(always)]
    fn deref(&self) -> &[E; L] {
        &self.0
    }
}

impl<E, const L: usize> DerefMut for Row<E, L> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [E; L] {
        &mut self.0
    }
}

/// `N` features of `L` samples; `L` is a multiple of 32 in f32 and of 16 in f64, whole blocks of the widest registers.
pub type Tile<E, const N: usize, const L: usize> = [Row<E, L>; N];

/// Samples of a tile are a multiple of it: lanes of the widest register in f32.
pub const WIDTH: usize = 16;

/// A row of sums over samples, [`WIDTH`] parameters side by side. A layer's cotangent takes
/// [`TileLayer::SUMS`](crate::kernel::layer::TileLayer::SUMS) of them.
pub type Sums<E> = Row<E, WIDTH>;

/// The first `N` rows of `scratch` as a tile, and the rest.
#[inline(always)]
pub(crate) fn carve<E, const N: usize, const L: usize>(
    scratch: &mut [Row<E, L>],
) -> (&mut Tile<E, N, L>, &mut [Row<E, L>]) {
    let (tiles, rest) = scratch.split_at_mut(N);
    // A slice of `N` rows is one tile.
    (&mut tiles.as_chunks_mut::<N>().0[0], rest)
}

/// `N` rows from row `at` on.
#[inline(always)]
pub(crate) fn part<E, const N: usize, const L: usize>(
    rows: &[Row<E, L>],
    at: usize,
) -> &Tile<E, N, L> {
    &rows[at..at + N].as_chunks::<N>().0[0]
}

/// `y = x`.
#[inline(always)]
pub(crate) fn copy<E: Real, const N: usize, const L: usize>(
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        y[n] = x[n];
    }
}

/// `y += x`.
#[inline(always)]
pub(crate) fn add<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        let (x, y) = (E::registers::<S>(&*x[n]), E::registers_mut::<S>(&mut *y[n]));
        for r in 0..L / E::lanes::<S>() {
            y[r] = E::sum(simd, y[r], x[r]);
        }
    }
}

/// `out = a + b`.
#[inline(always)]
pub(crate) fn sum<S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    a: &Tile<E, N, L>,
    b: &Tile<E, N, L>,
    out: &mut Tile<E, N, L>,
) {
    for n in 0..N {
        let (a, b) = (E::registers::<S>(&*a[n]), E::registers::<S>(&*b[n]));
        let out = E::registers_mut::<S>(&mut *out[n]);
        for r in 0..L / E::lanes::<S>() {
            out[r] = E::sum(simd, a[r], b[r]);
        }
    }
}
