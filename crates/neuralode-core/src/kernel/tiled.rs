//! One layer over rows of samples, by its kernels over tiles: layers between blocks.
//!
//! Threads share the tiles. Sums over samples are those of groups that the number of tiles alone decides, joined in
//! order: the same bits on any number of threads.

use core::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    kernel::{
        layer::{Records, Rows, TileLayer},
        tile::{carve, Row, Sums},
    },
    simd::{
        isa::{dispatch, Compiled},
        parallel::{self, tiles_of_group},
        real::Real,
    },
};

/// Samples per tile: two vectors of the widest registers in either type.
pub const LANES_F32: usize = 32;
/// The same in f64.
pub const LANES_F64: usize = 16;

/// These kernels are not compiled for plain scalars: without vector instructions nobody calls them.
struct Vectors;

impl Compiled for Vectors {
    const BASELINE: bool = false;
}

/// Fills a tile with rows of samples. Lanes without a sample repeat the last one.
fn load<E: Real, const L: usize>(rows: &[E], tile: &mut [Row<E, L>]) {
    let features = tile.len();
    let samples = rows.len() / features.max(1);
    for lane in 0..L {
        let sample = lane.min(samples.saturating_sub(1));
        let sample = &rows[sample * features..][..features];
        for n in 0..features {
            tile[n][lane] = sample[n];
        }
    }
}

/// Shows the samples of a tile to `put`, number by number beside those of `rows`.
fn unload<E: Real, const L: usize>(
    tile: &[Row<E, L>],
    rows: &mut [E],
    put: impl Fn(&mut E, E) + Copy,
) {
    let features = tile.len();
    for lane in 0..rows.len() / features.max(1) {
        let sample = &mut rows[lane * features..][..features];
        for n in 0..features {
            put(&mut sample[n], tile[n][lane]);
        }
    }
}

/// The value of a layer with these parameters for rows `x` of `I` numbers, as rows of `O`.
pub fn forward<K, E, const I: usize, const O: usize, const L: usize>(
    params: &[E],
    x: &[E],
) -> Vec<E>
where
    K: TileLayer<I, O>,
    E: Real,
{
    let samples = x.len() / I.max(1);
    let tiles = samples.div_ceil(L);
    let mut y = vec![E::default(); samples * O];
    let part = |x: &[E], y: &mut [E]| {
        let mut rows = vec![Row::default(); I + O + K::KEPT];
        for (x, y) in x.chunks(L * I).zip(y.chunks_mut(L * O)) {
            load(x, &mut rows[..I]);
            let value = Value::<K, E, I, O, L> {
                params,
                rows: &mut rows,
                kernels: PhantomData,
            };
            dispatch::<Vectors, _>(Arch::new(), value);
            unload(&rows[I..I + O], y, |y, value| *y = value);
        }
    };
    let threads = parallel::threads(K::PRODUCTS.saturating_mul(samples), tiles);
    if threads < 2 {
        part(x, &mut y);
    } else {
        let share = tiles.div_ceil(threads) * L;
        y.par_chunks_mut(share * O)
            .zip(x.par_chunks(share * I))
            .for_each(|(y, x)| part(x, y));
    }
    y
}

/// A call for one tile: `x`, `y` and what is kept, one after the other in `rows`.
struct Value<'a, K, E, const I: usize, const O: usize, const L: usize> {
    params: &'a [E],
    rows: &'a mut [Row<E, L>],
    kernels: PhantomData<K>,
}

impl<K, E, const I: usize, const O: usize, const L: usize> WithSimd for Value<'_, K, E, I, O, L>
where
    K: TileLayer<I, O>,
    E: Real,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (x, rest) = carve::<E, I, L>(self.rows);
        let (y, kept) = carve::<E, O, L>(rest);
        let rows = Rows {
            record: &mut [],
            kept,
        };
        K::forward(simd, self.params, &[0.0; L], x, rows, y);
    }
}

/// Adds the cotangents of the rows `x` to `x_bar` and that of the parameters to `theta_bar`, where `y` is the value of
/// the layer and `c` its cotangent.
pub fn backward<K, E, const I: usize, const O: usize, const L: usize>(
    params: &[E],
    (x, y, c): (&[E], &[E], &[E]),
    x_bar: &mut [E],
    theta_bar: &mut [E],
) where
    K: TileLayer<I, O>,
    E: Real,
{
    let samples = x.len() / I.max(1);
    let tiles = samples.div_ceil(L);
    let mut transposed = params.to_vec();
    K::transpose(params, &mut transposed);
    let part = |(((x, y), c), x_bar): (((&[E], &[E]), &[E]), &mut [E])| {
        let mut sums = vec![Sums::default(); K::SUMS];
        let scratch = K::gather_scratch(L);
        let mut rows = vec![Row::default(); 2 * (I + O) + K::KEPT + scratch];
        let values = x.chunks(L * I).zip(y.chunks(L * O));
        let bars = c.chunks(L * O).zip(x_bar.chunks_mut(L * I));
        for ((x, y), (c, x_bar)) in values.zip(bars) {
            load(x, &mut rows[..I]);
            load(c, &mut rows[I..I + O]);
            // Lanes without a sample add nothing to the sums.
            for row in &mut rows[I..I + O] {
                row[c.len() / O..].fill(E::default());
            }
            load(y, &mut rows[I + O..I + 2 * O]);
            let pulled = Pulled::<K, E, I, O, L> {
                params,
                transposed: &transposed,
                rows: &mut rows,
                sums: &mut sums,
                kernels: PhantomData,
            };
            dispatch::<Vectors, _>(Arch::new(), pulled);
            unload(&rows[I + 2 * O..][..I], x_bar, |bar, more| *bar += more);
        }
        sums
    };
    let group = tiles_of_group(tiles).max(1) * L;
    let threads = parallel::threads(K::PRODUCTS.saturating_mul(3 * samples), tiles);
    let sums: Vec<Vec<Sums<E>>> = if threads < 2 {
        let values = x.chunks(group * I).zip(y.chunks(group * O));
        let bars = values.zip(c.chunks(group * O));
        bars.zip(x_bar.chunks_mut(group * I)).map(part).collect()
    } else {
        let values = x.par_chunks(group * I).zip(y.par_chunks(group * O));
        let bars = values.zip(c.par_chunks(group * O));
        bars.zip(x_bar.par_chunks_mut(group * I))
            .map(part)
            .collect()
    };
    for sums in &sums {
        K::join(sums, theta_bar);
    }
}

/// The products of one tile: `x`, `c`, `y`, the cotangent of `x`, what is kept and scratch space, one after the other
/// in `rows`. The first two are a record.
struct Pulled<'a, K, E, const I: usize, const O: usize, const L: usize> {
    params: &'a [E],
    transposed: &'a [E],
    rows: &'a mut [Row<E, L>],
    sums: &'a mut [Sums<E>],
    kernels: PhantomData<K>,
}

impl<K, E, const I: usize, const O: usize, const L: usize> WithSimd for Pulled<'_, K, E, I, O, L>
where
    K: TileLayer<I, O>,
    E: Real,
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let (record, rest) = self.rows.split_at_mut(I + O);
        let (y, rest) = carve::<E, O, L>(rest);
        let (x_bar, rest) = carve::<E, I, L>(rest);
        let (kept, scratch) = rest.split_at_mut(K::KEPT);
        let (x, c) = carve::<E, I, L>(record);
        let (c, _) = carve::<E, O, L>(c);
        let (params, transposed) = (self.params, self.transposed);
        // The value stands in `y` already; the argument of an activation may have to be computed again.
        if K::KEPT > 0 {
            let rows = Rows {
                record: &mut [],
                kept: &mut *kept,
            };
            K::forward(simd, params, &[0.0; L], x, rows, y);
        }
        let rows = Rows {
            record: &mut [],
            kept,
        };
        K::backward(simd, params, transposed, x, rows, y, c, x_bar);
        let records = Records {
            rows: record,
            stride: I + O,
            own: I + O,
            x: 0,
            c: I,
        };
        K::gather(simd, records, self.sums, scratch);
    }
}
