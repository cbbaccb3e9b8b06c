//! `y = x W^T + b`: dot products of rows, in blocks of rows and outputs.

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{is_finite, lines, rows_per_thread, run, RowScalar, Size};
use crate::{kernel::tile::Sums, simd::real::Real};

/// A multiple of the rows of all blocks of dot products.
const DOT_ROWS: usize = 12;

/// See [`RowScalar::affine`].
pub(super) fn affine<E: RowScalar>(
    size: Size,
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
    check: bool,
) -> bool {
    struct Affine<'a, E>(Size, &'a [E], &'a [E], &'a [E], &'a mut [E], bool);

    impl<E: RowScalar> WithSimd for Affine<'_, E> {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> bool {
            let Self(size, x, w, b, y, check) = self;
            if S::REGISTER_COUNT < 32 {
                dots::<S, E, 3, 4>(simd, size, x, w, b, y);
            } else if size.outputs.is_multiple_of(5) && !size.outputs.is_multiple_of(4) {
                dots::<S, E, 4, 5>(simd, size, x, w, b, y);
            } else {
                dots::<S, E, 6, 4>(simd, size, x, w, b, y);
            }
            !check || is_finite::<S, E, false>(simd, y)
        }
    }

    let part = |x: &[E], y: &mut [E]| run(Affine(size, x, w, b, y, check)) == Some(true);
    let Size { inputs, outputs } = size;
    match rows_per_thread(y.len() / outputs, inputs * outputs, DOT_ROWS) {
        None => part(x, y),
        Some(rows) => y
            .par_chunks_mut(rows * outputs)
            .zip(x.par_chunks(rows * inputs))
            .map(|(y, x)| part(x, y))
            .reduce(|| true, |a, b| a & b),
    }
}

/// Dot products, in blocks of `R` rows and `K` outputs.
#[inline(always)]
pub(super) fn dots<S: Simd, E: RowScalar, const R: usize, const K: usize>(
    simd: S,
    size: Size,
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
) {
    let rows = y.len() / size.outputs;
    let mut row = 0;
    while row + R <= rows {
        dots_of_rows::<S, E, R, K>(simd, size, row, x, w, b, y);
        row += R;
    }
    while row < rows {
        dots_of_rows::<S, E, 1, K>(simd, size, row, x, w, b, y);
        row += 1;
    }
}

#[inline(always)]
fn dots_of_rows<S: Simd, E: RowScalar, const R: usize, const K: usize>(
    simd: S,
    size: Size,
    row: usize,
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
) {
    let x = lines(&x[row * size.inputs..], size.inputs);
    let y = &mut y[row * size.outputs..][..R * size.outputs];
    let mut o = 0;
    while o + K <= size.outputs {
        dot_block::<S, E, R, K>(simd, size, o, x, w, b, y);
        o += K;
    }
    while o < size.outputs {
        dot_block::<S, E, R, 1>(simd, size, o, x, w, b, y);
        o += 1;
    }
}

/// Registers of a row between two checks of lengths.
const UNCHECKED: usize = 4;

type Group<E, S> = [<E as Real>::Register<S>; UNCHECKED];

/// The whole groups of registers of each row, the registers behind them, and what is left. All rows have one length.
#[inline(always)]
#[allow(clippy::type_complexity, reason = "three parts, each by row")]
fn grouped<S: Simd, E: RowScalar, const R: usize>(
    rows: [&[E]; R],
) -> ([&[Group<E, S>]; R], [&[E::Register<S>]; R], [&[E]; R]) {
    let (mut groups, mut left, mut rest) = ([&[][..]; R], [&[][..]; R], [&[][..]; R]);
    for r in 0..R {
        let (registers, behind) = E::vectors::<S>(rows[r]);
        (groups[r], left[r]) = registers.as_chunks::<UNCHECKED>();
        rest[r] = behind;
    }
    (groups, left, rest)
}

#[inline(always)]
fn dot_block<S: Simd, E: RowScalar, const R: usize, const K: usize>(
    simd: S,
    size: Size,
    o: usize,
    x: [&[E]; R],
    w: &[E],
    b: &[E],
    y: &mut [E],
) {
    let Size { inputs, outputs } = size;
    let w = lines::<E, K>(&w[o * inputs..], inputs);
    let (x_groups, x_left, x_rest) = grouped::<S, E, R>(x);
    let (w_groups, w_left, w_rest) = grouped::<S, E, K>(w);
    let mut sums = [[E::splat(simd, E::default()); K]; R];
    for c in 0..w_groups[0].len() {
        let (mut x, mut w) = ([&x_groups[0][c]; R], [&w_groups[0][c]; K]);
        for r in 1..R {
            x[r] = &x_groups[r][c];
        }
        for k in 1..K {
            w[k] = &w_groups[k][c];
        }
        for u in 0..UNCHECKED {
            // The shorter side stays in registers.
            if const { R < K } {
                for k in 0..K {
                    for r in 0..R {
                        sums[r][k] = E::fma(simd, x[r][u], w[k][u], sums[r][k]);
                    }
                }
            } else {
                for r in 0..R {
                    for k in 0..K {
                        sums[r][k] = E::fma(simd, x[r][u], w[k][u], sums[r][k]);
                    }
                }
            }
        }
    }
    for c in 0..w_left[0].len() {
        for r in 0..R {
            for k in 0..K {
                sums[r][k] = E::fma(simd, x_left[r][c], w_left[k][c], sums[r][k]);
            }
        }
    }
    if !inputs.is_multiple_of(E::lanes::<S>()) {
        for r in 0..R {
            let x = E::partial(simd, x_rest[r]);
            for k in 0..K {
                sums[r][k] = E::fma(simd, x, E::partial(simd, w_rest[k]), sums[r][k]);
            }
        }
    }
    // Out of their registers in short loops, which the compiler unrolls: an index that it does not know would keep the
    // sums in memory all the while.
    let mut lanes = [[Sums::<E>::default(); K]; R];
    for r in 0..R {
        for k in 0..K {
            E::registers_mut::<S>(&mut *lanes[r][k])[0] = sums[r][k];
        }
    }
    for r in 0..R {
        let y = &mut y[r * outputs + o..][..K];
        let b = &b[o..][..K];
        for k in 0..K {
            y[k] = b[k] + E::reduce(simd, E::registers::<S>(&*lanes[r][k])[0]);
        }
    }
}
