//! Affine maps over contiguous rows, `(batch, I)` to `(batch, O)`: the kernels of layers between blocks.
//!
//! Vectors run along a row's features. Products are computed in blocks that stay in registers, and calls run under
//! the processor's widest instructions. The order of a sum depends on the width of the vectors, and that of a
//! parameter's gradient on the number of samples; never on the number of threads among which large products are
//! split, by rows of their result or by groups of samples.

use core::{hint::black_box, marker::PhantomData};

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::{
    kernel::{activation::TileActivation, tile::Sums},
    simd::{
        buffer::Buffer,
        isa::{dispatch, Compiled},
        parallel,
        real::Real,
    },
};

/// A scalar whose rows need not fill registers.
pub trait RowScalar: Real {
    /// The whole registers in `x`, and what is left.
    fn vectors<S: Simd>(x: &[Self]) -> (&[Self::Register<S>], &[Self]);
    /// The whole registers in `x`, and what is left.
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> (&mut [Self::Register<S>], &mut [Self]);
    /// The first numbers of a register whose others are zero.
    fn partial<S: Simd>(simd: S, x: &[Self]) -> Self::Register<S>;
    /// Writes the first numbers of a register.
    fn store_partial<S: Simd>(simd: S, x: &mut [Self], v: Self::Register<S>);

    /// `y = x W^T + b` for rows `x` of inputs and `y` of outputs. With `check` it says whether all of `y` are finite,
    /// which they cannot be if a number of `x` is not; otherwise it says yes.
    fn affine(size: Size, x: &[Self], w: &[Self], b: &[Self], y: &mut [Self], check: bool) -> bool;
    /// Adds `c^T x` to the gradient `(outputs, inputs)` of the weights, where `c` is the cotangent of the affine map.
    fn add_weight_gradient(size: Size, x: &[Self], c: &[Self], weight_bar: &mut [Self]);
    /// Adds `c W` to the gradient of the rows `x`, where `c` is the cotangent of the affine map.
    fn add_input_gradient(size: Size, w: &[Self], c: &[Self], x_bar: &mut [Self]);
    /// Adds the sums of the columns of `c` to the gradient of the biases.
    fn add_bias_gradient(c: &[Self], bias_bar: &mut [Self]);
    /// Whether no number is NaN or infinite.
    fn all_finite(x: &[Self]) -> bool;

    /// Whether every number and twice its square are finite.
    fn squares_finite(x: &[Self]) -> bool;
}

/// The size of a dense layer, both numbers positive. Not in a type: these kernels are compiled once, for all layers.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Features of its input.
    pub inputs: usize,
    /// Features of its output.
    pub outputs: usize,
}

macro_rules! row_scalar {
    ($t:ident, $v:ident, $as:ident, $as_mut:ident, $load:ident, $store:ident) => {
        impl RowScalar for $t {
            #[inline(always)]
            fn vectors<S: Simd>(x: &[Self]) -> (&[S::$v], &[Self]) {
                S::$as(x)
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(x: &mut [Self]) -> (&mut [S::$v], &mut [Self]) {
                S::$as_mut(x)
            }
            #[inline(always)]
            fn partial<S: Simd>(simd: S, x: &[Self]) -> S::$v {
                simd.$load(x)
            }
            #[inline(always)]
            fn store_partial<S: Simd>(simd: S, x: &mut [Self], v: S::$v) {
                simd.$store(x, v);
            }

            fn affine(
                size: Size,
                x: &[Self],
                w: &[Self],
                b: &[Self],
                y: &mut [Self],
                check: bool,
            ) -> bool {
                affine(size, x, w, b, y, check)
            }

            fn add_weight_gradient(size: Size, x: &[Self], c: &[Self], weight_bar: &mut [Self]) {
                add_weight_gradient(size, x, c, weight_bar);
            }

            fn add_input_gradient(size: Size, w: &[Self], c: &[Self], x_bar: &mut [Self]) {
                add_input_gradient(size, w, c, x_bar);
            }

            fn add_bias_gradient(c: &[Self], bias_bar: &mut [Self]) {
                add_bias_gradient(c, bias_bar);
            }

            fn all_finite(x: &[Self]) -> bool {
                all_finite::<_, false>(x)
            }
            fn squares_finite(x: &[Self]) -> bool {
                all_finite::<_, true>(x)
            }
        }
    };
}

row_scalar!(
    f32,
    f32s,
    as_simd_f32s,
    as_mut_simd_f32s,
    partial_load_f32s,
    partial_store_f32s
);
row_scalar!(
    f64,
    f64s,
    as_simd_f64s,
    as_mut_simd_f64s,
    partial_load_f64s,
    partial_store_f64s
);

/// These kernels are not compiled for plain scalars.
struct Rows;

impl Compiled for Rows {
    const BASELINE: bool = false;
}

/// Runs `op` under this processor's vector instructions; without any, nobody calls it.
pub fn run<O: WithSimd>(op: O) -> Option<O::Output> {
    dispatch::<Rows, O>(Arch::new(), op)
}

/// Most groups of samples whose weight gradients are summed apart, and fewest samples of one. The groups depend
/// on the number of samples alone, and are added up in order: the same bits on any number of threads.
const GROUPS: usize = 16;
const GROUP_ROWS: usize = 512;
/// Multiply-adds from which on several groups are summed apart, a choice of the sizes alone.
const WORTH_GROUPS: usize = 8 << 20;
/// Rows of a panel of products at a time.
const PANEL_ROWS: usize = 5;
/// A multiple of the rows of all blocks of dot products.
const DOT_ROWS: usize = 12;
/// Samples that stay in the cache while all panels of a weight gradient read them.
const CACHED_ROWS: usize = 64;
/// Input that the forward pass leaves in some cache, in bytes.
const CACHED_BYTES: usize = 1 << 20;

/// Rows of the result per thread, a multiple of `block`, for a product with `work` multiply-adds per row; `None` for
/// one thread.
///
/// A number of the result is always summed by one thread in one order: the split does not change it.
fn rows_per_thread(rows: usize, work: usize, block: usize) -> Option<usize> {
    let threads = parallel::threads(rows.saturating_mul(work), rows.div_ceil(block));
    let share = rows.div_ceil(threads).next_multiple_of(block);
    (share < rows).then_some(share)
}

fn affine<E: RowScalar>(size: Size, x: &[E], w: &[E], b: &[E], y: &mut [E], check: bool) -> bool {
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
fn dots<S: Simd, E: RowScalar, const R: usize, const K: usize>(
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

/// The first `R` rows of `length` scalars.
#[inline(always)]
fn lines<E, const R: usize>(x: &[E], length: usize) -> [&[E]; R] {
    let mut lines = [&x[..length]; R];
    for r in 1..R {
        lines[r] = &x[r * length..][..length];
    }
    lines
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

fn add_weight_gradient<E: RowScalar>(size: Size, x: &[E], c: &[E], weight_bar: &mut [E]) {
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

fn add_input_gradient<E: RowScalar>(size: Size, w: &[E], c: &[E], x_bar: &mut [E]) {
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
fn product_panels<S: Simd, E: RowScalar, const K: usize, const V: usize, const TRANSPOSED: bool>(
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

fn add_bias_gradient<E: RowScalar>(c: &[E], bias_bar: &mut [E]) {
    struct Add<'a, E>(&'a [E], &'a mut [E]);

    impl<E: RowScalar> WithSimd for Add<'_, E> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(c, bias_bar) = self;
            let mut sums = Buffer::new(bias_bar.len());
            let sums = sums.as_mut_slice();
            sums.fill(E::default());
            let width = bias_bar.len();
            for row in 0..c.len() / width {
                let c = &c[row * width..][..width];
                for n in 0..width {
                    sums[n] += c[n];
                }
            }
            for n in 0..width {
                bias_bar[n] += sums[n];
            }
        }
    }

    run(Add(c, bias_bar));
}

/// `y = A(y)`, number by number.
pub fn activate<A: TileActivation, E: RowScalar>(y: &mut [E]) {
    struct Activate<'a, A, E>(&'a mut [E], PhantomData<A>);

    impl<A: TileActivation, E: RowScalar> WithSimd for Activate<'_, A, E> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            for y in self.0 {
                *y = A::value::<S, E>(*y);
            }
        }
    }

    run(Activate::<A, E>(y, PhantomData));
}

/// Multiplies a cotangent of `y = A(z)` by the derivative; `saved` holds `z` if the derivative needs the
/// argument, `y` otherwise.
pub fn scale_by_derivative<A: TileActivation, E: RowScalar>(saved: &[E], c: &mut [E]) {
    struct Scale<'a, A, E>(&'a [E], &'a mut [E], PhantomData<A>);

    impl<A: TileActivation, E: RowScalar> WithSimd for Scale<'_, A, E> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let count = self.0.len().min(self.1.len());
            let (saved, c) = (&self.0[..count], &mut self.1[..count]);
            for n in 0..count {
                // The derivative reads one of the two.
                c[n] = c[n] * A::derivative::<S, E>(saved[n], saved[n]);
            }
        }
    }

    run(Scale::<A, E>(saved, c, PhantomData));
}

/// Whether all numbers are finite, or twice their squares.
fn all_finite<E: RowScalar, const SQUARES: bool>(x: &[E]) -> bool {
    struct Guard<'a, E, const SQUARES: bool>(&'a [E]);

    impl<E: RowScalar, const SQUARES: bool> WithSimd for Guard<'_, E, SQUARES> {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> bool {
            is_finite::<S, E, SQUARES>(simd, self.0)
        }
    }

    let scalar = |x: &E| {
        let guarded = if SQUARES { *x * (*x + *x) } else { *x };
        guarded.to_f64().is_finite()
    };
    run(Guard::<E, SQUARES>(x)).unwrap_or_else(|| x.iter().all(scalar))
}

#[inline(always)]
fn is_finite<S: Simd, E: RowScalar, const SQUARES: bool>(simd: S, x: &[E]) -> bool {
    // Zero for finite numbers, NaN otherwise.
    let zero = E::splat(simd, E::default());
    let mut sums = [zero; 8];
    let (vectors, rest) = E::vectors::<S>(x);
    let (chunks, left) = vectors.as_chunks::<8>();
    for chunk in chunks {
        for k in 0..8 {
            let x = guarded::<S, E, SQUARES>(simd, chunk[k]);
            sums[k] = E::fma(simd, x, zero, sums[k]);
        }
    }
    for x in left {
        let x = guarded::<S, E, SQUARES>(simd, *x);
        sums[0] = E::fma(simd, x, zero, sums[0]);
    }
    let rest = guarded::<S, E, SQUARES>(simd, E::partial(simd, rest));
    sums[1] = E::fma(simd, rest, zero, sums[1]);
    let mut sum = zero;
    for part in sums {
        sum = E::sum(simd, sum, part);
    }
    E::reduce(simd, sum) == E::default()
}

#[inline(always)]
fn guarded<S: Simd, E: RowScalar, const SQUARES: bool>(
    simd: S,
    x: E::Register<S>,
) -> E::Register<S> {
    if SQUARES {
        E::product(simd, x, E::sum(simd, x, x))
    } else {
        x
    }
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Simd};

    use super::{dots, product_panels, Size};

    /// Small integers: their sums are exact in any order.
    fn integers(count: usize, step: usize) -> Vec<f64> {
        let small = |i: usize| u8::try_from(i * step % 11).unwrap();
        (0..count).map(|i| f64::from(small(i)) - 5.0).collect()
    }

    /// `start + left * right`, number by number; `left` is read by row and column.
    fn product(
        start: &[f64],
        columns: usize,
        inner: usize,
        left: impl Fn(usize, usize) -> f64,
        right: impl Fn(usize, usize) -> f64,
    ) -> Vec<f64> {
        let sum = |(at, start): (usize, &f64)| {
            let (row, column) = (at / columns, at % columns);
            let products = (0..inner).map(|k| left(row, k) * right(k, column));
            start + products.sum::<f64>()
        };
        start.iter().enumerate().map(sum).collect()
    }

    fn check<S: Simd, const I: usize, const O: usize>(simd: S) {
        let size = Size {
            inputs: I,
            outputs: O,
        };
        for rows in 1..8 {
            let (x, w, b) = (integers(rows * I, 3), integers(O * I, 7), integers(O, 4));
            let c = integers(rows * O, 5);

            let mut y = vec![0.0; rows * O];
            dots::<S, f64, 3, 4>(simd, size, &x, &w, &b, &mut y);
            let start = b.repeat(rows);
            let expected = product(&start, O, I, |r, i| x[r * I + i], |i, o| w[o * I + i]);
            assert_eq!(y, expected);

            let start = integers(O * I, 2);
            let mut weight_bar = start.clone();
            product_panels::<S, f64, 5, 2, true>(simd, I, (&c, O), &x, &mut weight_bar);
            let expected = product(&start, I, rows, |o, r| c[r * O + o], |r, i| x[r * I + i]);
            assert_eq!(weight_bar, expected);

            let start = integers(rows * I, 6);
            let mut x_bar = start.clone();
            product_panels::<S, f64, 5, 2, false>(simd, I, (&c, O), &w, &mut x_bar);
            let expected = product(&start, I, O, |r, o| c[r * O + o], |o, i| w[o * I + i]);
            assert_eq!(x_bar, expected);
        }
    }

    fn check_sizes<S: Simd>(simd: S) {
        check::<S, 1, 1>(simd);
        check::<S, 3, 5>(simd);
        check::<S, 8, 4>(simd);
        check::<S, 21, 6>(simd);
        check::<S, 40, 2>(simd);
    }

    #[test]
    fn products_are_exact_under_all_instructions_of_this_processor() {
        check_sizes(Scalar::new());
        #[cfg(target_arch = "x86_64")]
        {
            use pulp::x86::{V3, V4};
            V3::try_new().map_or_else(|| println!("no AVX2 here"), check_sizes);
            V4::try_new().map_or_else(|| println!("no AVX-512 here"), check_sizes);
        }
    }
}
