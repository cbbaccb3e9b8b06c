//! Gradients of an affine map by its weights and by its input: sums of products, in panels of rows and columns.

use core::hint::black_box;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::{is_finite, lines, rows_per_thread, run, RowScalar, Size};
use crate::simd::buffer::Buffer;

/// Most groups of samples whose weight gradients are summed apart, and fewest samples of one. The groups depend
/// on the number of samples alone, and are added up in order: the same bits on any number of threads.
const GROUPS: usize = 16;
const GROUP_ROWS: usize = 512;
/// Multiply-adds from which on several groups are summed apart, a choice of the sizes alone.
const WORTH_GROUPS: usize = 8 << 20;
/// Rows of a panel of products at a time.
const PANEL_ROWS: usize = 5;
/// Samples that stay in the cache while all panels of a weight gradient read them.
const CACHED_ROWS: usize = 64;
/// Input that the forward pass leaves in some cache, in bytes.
const CACHED_BYTES: usize = 1 << 20;

/// See [`RowScalar::add_weight_gradient`].
pub(super) fn add_weight_gradient<E: RowScalar>(
    size: Size,
    x: &[E],
    c: &[E],
    weight_bar: &mut [E],
) {
    /// Of the outputs from `at` on, as many as `weight_bar` has.
    struct Add<'a, E> {
        size: Size,
        x: &'a [E],
        c: &'a [E],
        at: usize,
        weight_bar: &'a mut [E],
    }

    impl<E: RowScalar> WithSimd for Add<'_, E> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self {
                size: Size { inputs, outputs },
                x,
                c,
                at,
                weight_bar,
            } = self;
            // Brings rows from memory in order: panels go from row to row, where no prefetcher follows.
            let fetch = size_of_val(x) > CACHED_BYTES;
            let x = x.chunks(CACHED_ROWS * inputs);
            for (x, c) in x.zip(c.chunks(CACHED_ROWS * outputs)) {
                if fetch {
                    black_box(is_finite::<S, E, false>(simd, x));
                }
                products::<S, E, true>(simd, inputs, (&c[at..], outputs), x, weight_bar);
            }
        }
    }

    let Size { inputs, outputs } = size;
    let rows = c.len() / outputs.max(1);
    let group = rows.div_ceil(GROUPS).max(GROUP_ROWS);
    if rows <= group || rows.saturating_mul(inputs * outputs) < WORTH_GROUPS {
        let part = |at, weight_bar: &mut [E]| {
            run(Add {
                size,
                x,
                c,
                at,
                weight_bar,
            });
        };
        match rows_per_thread(outputs, rows * inputs, PANEL_ROWS) {
            None => part(0, weight_bar),
            Some(share) => weight_bar
                .par_chunks_mut(share * inputs)
                .enumerate()
                .for_each(|(index, weight_bar)| part(index * share, weight_bar)),
        }
        return;
    }
    let parts = x
        .par_chunks(group * inputs)
        .zip(c.par_chunks(group * outputs));
    let sums: Vec<Buffer<E>> = parts
        .map(|(x, c)| {
            let mut sum = Buffer::new(weight_bar.len());
            let weight_bar = sum.as_mut_slice();
            weight_bar.fill(E::default());
            run(Add {
                size,
                x,
                c,
                at: 0,
                weight_bar,
            });
            sum
        })
        .collect();
    for sum in sums {
        for (bar, sum) in weight_bar.iter_mut().zip(sum.as_slice()) {
            *bar += *sum;
        }
    }
}

/// See [`RowScalar::add_input_gradient`].
pub(super) fn add_input_gradient<E: RowScalar>(size: Size, w: &[E], c: &[E], x_bar: &mut [E]) {
    struct Add<'a, E>(Size, &'a [E], &'a [E], &'a mut [E]);

    impl<E: RowScalar> WithSimd for Add<'_, E> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(Size { inputs, outputs }, w, c, x_bar) = self;
            products::<S, E, false>(simd, inputs, (c, outputs), w, x_bar);
        }
    }

    let Size { inputs, outputs } = size;
    match rows_per_thread(x_bar.len() / inputs, inputs * outputs, PANEL_ROWS) {
        None => {
            run(Add(size, w, c, x_bar));
        }
        Some(rows) => x_bar
            .par_chunks_mut(rows * inputs)
            .zip(c.par_chunks(rows * outputs))
            .for_each(|(x_bar, c)| {
                run(Add(size, w, c, x_bar));
            }),
    }
}

/// Adds `left * right` to `out`; `right` and `out` have rows of `columns` scalars. The left factor has rows of `stride`
/// scalars, which are the columns of the factor if it is `TRANSPOSED`.
#[inline(always)]
fn products<S: Simd, E: RowScalar, const TRANSPOSED: bool>(
    simd: S,
    columns: usize,
    (left, stride): (&[E], usize),
    right: &[E],
    out: &mut [E],
) {
    if S::REGISTER_COUNT >= 32 {
        product_panels::<S, E, PANEL_ROWS, 4, TRANSPOSED>(
            simd,
            columns,
            (left, stride),
            right,
            out,
        );
    } else {
        product_panels::<S, E, PANEL_ROWS, 2, TRANSPOSED>(
            simd,
            columns,
            (left, stride),
            right,
            out,
        );
    }
}

#[inline(always)]
pub(super) fn product_panels<
    S: Simd,
    E: RowScalar,
    const K: usize,
    const V: usize,
    const TRANSPOSED: bool,
>(
    simd: S,
    columns: usize,
    (left, stride): (&[E], usize),
    right: &[E],
    out: &mut [E],
) {
    let lanes = E::lanes::<S>();
    let mut n = 0;
    while n + V * lanes <= columns {
        panel::<S, E, K, V, TRANSPOSED>(simd, columns, (left, stride), right, out, n);
        n += V * lanes;
    }
    while n + lanes <= columns {
        panel::<S, E, K, 1, TRANSPOSED>(simd, columns, (left, stride), right, out, n);
        n += lanes;
    }
    if n < columns {
        panel::<S, E, K, 0, TRANSPOSED>(simd, columns, (left, stride), right, out, n);
    }
}

/// `V` vectors of columns from the column `n` on, or, for zero of them, the columns that fill no vector.
#[inline(always)]
fn panel<S: Simd, E: RowScalar, const K: usize, const V: usize, const TRANSPOSED: bool>(
    simd: S,
    columns: usize,
    (left, stride): (&[E], usize),
    right: &[E],
    out: &mut [E],
    n: usize,
) {
    let rows = out.len() / columns;
    let mut row = 0;
    while row + K <= rows {
        panel_rows::<S, E, K, V, TRANSPOSED>(simd, columns, (left, stride), right, out, n, row);
        row += K;
    }
    while row < rows {
        panel_rows::<S, E, 1, V, TRANSPOSED>(simd, columns, (left, stride), right, out, n, row);
        row += 1;
    }
}

#[inline(always)]
fn panel_rows<S: Simd, E: RowScalar, const K: usize, const V: usize, const TRANSPOSED: bool>(
    simd: S,
    columns: usize,
    (left, stride): (&[E], usize),
    right: &[E],
    out: &mut [E],
    n: usize,
    row: usize,
) {
    let width = if const { V == 0 } {
        columns - n
    } else {
        V * E::lanes::<S>()
    };
    let mut sums = [[E::splat(simd, E::default()); V]; K];
    // The registers that are not full.
    let mut partial = [E::splat(simd, E::default()); K];
    let lines = if TRANSPOSED {
        [&[][..]; K]
    } else {
        lines::<E, K>(&left[row * stride..], stride)
    };
    let count = if TRANSPOSED {
        right.len() / columns
    } else {
        stride
    };
    for j in 0..count {
        let column = if TRANSPOSED {
            &left[j * stride + row..][..K]
        } else {
            &[]
        };
        let right = &right[j * columns + n..][..width];
        if const { V == 0 } {
            let right = E::partial(simd, right);
            for k in 0..K {
                let factor = E::splat(simd, if TRANSPOSED { column[k] } else { lines[k][j] });
                partial[k] = E::fma(simd, factor, right, partial[k]);
            }
        } else {
            let (right, _) = E::vectors::<S>(right);
            let right = &right[..V];
            for k in 0..K {
                let factor = E::splat(simd, if TRANSPOSED { column[k] } else { lines[k][j] });
                for v in 0..V {
                    sums[k][v] = E::fma(simd, factor, right[v], sums[k][v]);
                }
            }
        }
    }
    for k in 0..K {
        let out = &mut out[(row + k) * columns + n..][..width];
        if const { V == 0 } {
            let sum = E::sum(simd, E::partial(simd, out), partial[k]);
            E::store_partial(simd, out, sum);
        } else {
            let (out, _) = E::vectors_mut::<S>(out);
            for v in 0..V {
                out[v] = E::sum(simd, out[v], sums[k][v]);
            }
        }
    }
}
