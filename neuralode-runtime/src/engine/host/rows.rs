//! Affine maps over contiguous rows, `(batch, I)` to `(batch, O)`: the kernels of layers between blocks.
//!
//! Vectors run along a row's features. Products are computed in blocks that stay in registers, and calls run under
//! the processor's widest instructions. The order of a sum depends on the width of the vectors, and that of a
//! parameter's gradient on the number of samples; never on the number of threads among which large products are
//! split, by rows of their result or by groups of samples.

use core::marker::PhantomData;

use dfdx::shapes::Unit;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{
    buffer::{Buffer, Pooled},
    isa::{dispatch, Compiled},
    kernel::TileActivation,
    real::Real,
};

/// A scalar whose rows need not fill registers.
pub trait RowScalar: Real + Pooled + Unit {
    /// The whole registers in `x`, and what is left.
    fn vectors<S: Simd>(x: &[Self]) -> (&[Self::Register<S>], &[Self]);
    /// The whole registers in `x`, and what is left.
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> (&mut [Self::Register<S>], &mut [Self]);
    /// The first numbers of a register whose others are zero.
    fn partial<S: Simd>(simd: S, x: &[Self]) -> Self::Register<S>;
    /// Writes the first numbers of a register.
    fn store_partial<S: Simd>(simd: S, x: &mut [Self], v: Self::Register<S>);
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
fn run<O: WithSimd>(op: O) -> Option<O::Output> {
    dispatch::<Rows, O>(Arch::new(), op)
}

/// Multiply-adds below which a product is not worth the start of a second thread (about 80 us on one).
const WORTH_THREADS: usize = 8 << 20;

/// Most groups of samples whose weight gradients are summed apart, and fewest samples of one. The groups depend
/// on the number of samples alone, and are added up in order: the same bits on any number of threads.
const GROUPS: usize = 16;
const GROUP_ROWS: usize = 512;
/// Samples that stay in the cache while all panels of a weight gradient read them.
const CACHED_ROWS: usize = 128;

/// Rows of the result per thread, for a product with `work` multiply-adds per row; `None` for one thread.
///
/// A number of the result is always summed by one thread in one order: the split does not change it.
fn rows_per_thread(rows: usize, work: usize) -> Option<usize> {
    /// A multiple of all block heights.
    const BLOCKS: usize = 60;
    if rows.saturating_mul(work) < WORTH_THREADS {
        return None;
    }
    let threads = rayon::current_num_threads();
    let share = rows.div_ceil(threads).next_multiple_of(BLOCKS);
    (share < rows).then_some(share)
}

/// `y = x W^T + b` for rows `x` of `I` and `y` of `O` scalars. With `check` it says whether all of `x` are finite,
/// without another way through memory; otherwise it says yes.
pub fn affine<E: RowScalar, const I: usize, const O: usize>(
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
    check: bool,
) -> bool {
    struct Affine<'a, E, const I: usize, const O: usize>(
        &'a [E],
        &'a [E],
        &'a [E],
        &'a mut [E],
        bool,
    );

    impl<E: RowScalar, const I: usize, const O: usize> WithSimd for Affine<'_, E, I, O> {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> bool {
            let Self(x, w, b, y, check) = self;
            let mut finite = true;
            let chunks = x.chunks(CACHED_ROWS * I);
            for (x, y) in chunks.zip(y.chunks_mut(CACHED_ROWS * O)) {
                finite &= !check || is_finite::<S, E>(simd, x);
                if S::REGISTER_COUNT < 32 {
                    dots::<S, E, I, O, 2, 4>(simd, x, w, b, y);
                } else if O.is_multiple_of(5) && !O.is_multiple_of(4) {
                    dots::<S, E, I, O, 4, 5>(simd, x, w, b, y);
                } else {
                    dots::<S, E, I, O, 6, 4>(simd, x, w, b, y);
                }
            }
            finite
        }
    }

    let part = |x: &[E], y: &mut [E]| run(Affine::<E, I, O>(x, w, b, y, check)) == Some(true);
    match rows_per_thread(y.len() / O, I * O) {
        None => part(x, y),
        Some(rows) => y
            .par_chunks_mut(rows * O)
            .zip(x.par_chunks(rows * I))
            .map(|(y, x)| part(x, y))
            .reduce(|| true, |a, b| a & b),
    }
}

/// Dot products, in blocks of `R` rows and `K` outputs.
#[inline(always)]
fn dots<S: Simd, E: RowScalar, const I: usize, const O: usize, const R: usize, const K: usize>(
    simd: S,
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
) {
    let rows = y.len() / O;
    let mut row = 0;
    while row + R <= rows {
        dots_of_rows::<S, E, I, O, R, K>(simd, row, x, w, b, y);
        row += R;
    }
    while row < rows {
        dots_of_rows::<S, E, I, O, 1, K>(simd, row, x, w, b, y);
        row += 1;
    }
}

#[inline(always)]
fn dots_of_rows<
    S: Simd,
    E: RowScalar,
    const I: usize,
    const O: usize,
    const R: usize,
    const K: usize,
>(
    simd: S,
    row: usize,
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
) {
    let mut o = 0;
    while o + K <= O {
        dot_block::<S, E, I, O, R, K>(simd, row, o, x, w, b, y);
        o += K;
    }
    while o < O {
        dot_block::<S, E, I, O, R, 1>(simd, row, o, x, w, b, y);
        o += 1;
    }
}

#[inline(always)]
fn dot_block<
    S: Simd,
    E: RowScalar,
    const I: usize,
    const O: usize,
    const R: usize,
    const K: usize,
>(
    simd: S,
    row: usize,
    o: usize,
    x: &[E],
    w: &[E],
    b: &[E],
    y: &mut [E],
) {
    let x: [_; R] = core::array::from_fn(|r| E::vectors::<S>(&x[(row + r) * I..][..I]));
    let w: [_; K] = core::array::from_fn(|k| E::vectors::<S>(&w[(o + k) * I..][..I]));
    let mut sums = [[E::splat(simd, E::default()); K]; R];
    for c in 0..I / E::lanes::<S>() {
        let w: [_; K] = core::array::from_fn(|k| w[k].0[c]);
        for r in 0..R {
            let x = x[r].0[c];
            for k in 0..K {
                sums[r][k] = E::fma(simd, x, w[k], sums[r][k]);
            }
        }
    }
    if !I.is_multiple_of(E::lanes::<S>()) {
        let w: [_; K] = core::array::from_fn(|k| E::partial(simd, w[k].1));
        for r in 0..R {
            let x = E::partial(simd, x[r].1);
            for k in 0..K {
                sums[r][k] = E::fma(simd, x, w[k], sums[r][k]);
            }
        }
    }
    for r in 0..R {
        let y = &mut y[(row + r) * O + o..][..K];
        let b = &b[o..][..K];
        for k in 0..K {
            y[k] = b[k] + E::reduce(simd, sums[r][k]);
        }
    }
}

/// Adds `c^T x` to the gradient `(O, I)` of the weights, where `c` is the cotangent of the affine map.
pub fn add_weight_gradient<E: RowScalar, const I: usize, const O: usize>(
    x: &[E],
    c: &[E],
    weight_bar: &mut [E],
) {
    struct Add<'a, E, const I: usize, const O: usize>(&'a [E], &'a [E], &'a mut [E]);

    impl<E: RowScalar, const I: usize, const O: usize> WithSimd for Add<'_, E, I, O> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(x, c, weight_bar) = self;
            for (x, c) in x.chunks(CACHED_ROWS * I).zip(c.chunks(CACHED_ROWS * O)) {
                let left = Left {
                    numbers: c,
                    row: 1,
                    column: O,
                };
                products::<S, E, I>(simd, left, x, weight_bar);
            }
        }
    }

    let rows = c.len() / O.max(1);
    let group = rows.div_ceil(GROUPS).max(GROUP_ROWS);
    let parts = x.par_chunks(group * I).zip(c.par_chunks(group * O));
    if rows <= group || rows.saturating_mul(I * O) < WORTH_THREADS {
        // Straight into the total: which way is taken depends on the sizes alone.
        for (x, c) in x.chunks(group * I).zip(c.chunks(group * O)) {
            run(Add::<E, I, O>(x, c, weight_bar));
        }
        return;
    }
    let sums: Vec<Buffer<E>> = parts
        .map(|(x, c)| {
            let mut sum = Buffer::new(weight_bar.len());
            sum.as_mut_slice().fill(E::default());
            run(Add::<E, I, O>(x, c, sum.as_mut_slice()));
            sum
        })
        .collect();
    for sum in sums {
        for (bar, sum) in weight_bar.iter_mut().zip(sum.as_slice()) {
            *bar += *sum;
        }
    }
}

/// Adds `c W` to the gradient of the rows `x`, where `c` is the cotangent of the affine map.
pub fn add_input_gradient<E: RowScalar, const I: usize, const O: usize>(
    w: &[E],
    c: &[E],
    x_bar: &mut [E],
) {
    struct Add<'a, E, const I: usize, const O: usize>(&'a [E], &'a [E], &'a mut [E]);

    impl<E: RowScalar, const I: usize, const O: usize> WithSimd for Add<'_, E, I, O> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(w, c, x_bar) = self;
            let left = Left {
                numbers: c,
                row: O,
                column: 1,
            };
            products::<S, E, I>(simd, left, w, x_bar);
        }
    }

    match rows_per_thread(x_bar.len() / I, I * O) {
        None => {
            run(Add::<E, I, O>(w, c, x_bar));
        }
        Some(rows) => x_bar
            .par_chunks_mut(rows * I)
            .zip(c.par_chunks(rows * O))
            .for_each(|(x_bar, c)| {
                run(Add::<E, I, O>(w, c, x_bar));
            }),
    }
}

/// The left factor of a product, in either layout.
#[derive(Clone, Copy)]
struct Left<'a, E> {
    numbers: &'a [E],
    /// Distance of two rows.
    row: usize,
    /// Distance of two columns.
    column: usize,
}

/// Adds `left * right` to `out`; `right` and `out` have rows of `N` scalars.
#[inline(always)]
fn products<S: Simd, E: RowScalar, const N: usize>(
    simd: S,
    left: Left<'_, E>,
    right: &[E],
    out: &mut [E],
) {
    if S::REGISTER_COUNT >= 32 {
        product_panels::<S, E, N, 5, 4>(simd, left, right, out);
    } else {
        product_panels::<S, E, N, 4, 2>(simd, left, right, out);
    }
}

#[inline(always)]
fn product_panels<S: Simd, E: RowScalar, const N: usize, const K: usize, const V: usize>(
    simd: S,
    left: Left<'_, E>,
    right: &[E],
    out: &mut [E],
) {
    let lanes = E::lanes::<S>();
    let mut n = 0;
    while n + V * lanes <= N {
        panel::<S, E, N, K, V>(simd, left, right, out, n);
        n += V * lanes;
    }
    while n < N {
        panel::<S, E, N, K, 1>(simd, left, right, out, n);
        n += lanes;
    }
}

/// `V` vectors of columns from the column `n` on; a single vector may reach beyond the last column.
#[inline(always)]
fn panel<S: Simd, E: RowScalar, const N: usize, const K: usize, const V: usize>(
    simd: S,
    left: Left<'_, E>,
    right: &[E],
    out: &mut [E],
    n: usize,
) {
    let rows = out.len() / N;
    let mut row = 0;
    while row + K <= rows {
        panel_rows::<S, E, N, K, V>(simd, left, right, out, n, row);
        row += K;
    }
    while row < rows {
        panel_rows::<S, E, N, 1, V>(simd, left, right, out, n, row);
        row += 1;
    }
}

#[inline(always)]
fn panel_rows<S: Simd, E: RowScalar, const N: usize, const K: usize, const V: usize>(
    simd: S,
    left: Left<'_, E>,
    right: &[E],
    out: &mut [E],
    n: usize,
    row: usize,
) {
    let lanes = E::lanes::<S>();
    let width = (V * lanes).min(N - n);
    let mut sums = [[E::splat(simd, E::default()); V]; K];
    for (j, right) in right.chunks_exact(N).enumerate() {
        let right = &right[n..n + width];
        let right: [_; V] = if width < lanes {
            [E::partial(simd, right); V]
        } else {
            let (right, _) = E::vectors::<S>(right);
            core::array::from_fn(|v| right[v])
        };
        let start = row * left.row + j * left.column;
        let numbers = &left.numbers[start..=start + (K - 1) * left.row];
        for k in 0..K {
            let factor = E::splat(simd, numbers[k * left.row]);
            for v in 0..V {
                sums[k][v] = E::fma(simd, factor, right[v], sums[k][v]);
            }
        }
    }
    for k in 0..K {
        let out = &mut out[(row + k) * N + n..][..width];
        if width < lanes {
            let sum = E::sum(simd, E::partial(simd, out), sums[k][0]);
            E::store_partial(simd, out, sum);
        } else {
            let (out, _) = E::vectors_mut::<S>(out);
            for v in 0..V {
                out[v] = E::sum(simd, out[v], sums[k][v]);
            }
        }
    }
}

/// Adds the sums of the columns of `c` to the gradient of the biases.
pub fn add_bias_gradient<E: RowScalar, const O: usize>(c: &[E], bias_bar: &mut [E]) {
    struct Add<'a, E, const O: usize>(&'a [E], &'a mut [E]);

    impl<E: RowScalar, const O: usize> WithSimd for Add<'_, E, O> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self(c, bias_bar) = self;
            let mut sums = [E::default(); O];
            for c in c.chunks_exact(O) {
                for o in 0..O {
                    sums[o] += c[o];
                }
            }
            for (bar, sum) in bias_bar.iter_mut().zip(sums) {
                *bar += sum;
            }
        }
    }

    run(Add::<E, O>(c, bias_bar));
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
            for (c, saved) in self.1.iter_mut().zip(self.0) {
                // The derivative reads one of the two.
                *c = *c * A::derivative::<S, E>(*saved, *saved);
            }
        }
    }

    run(Scale::<A, E>(saved, c, PhantomData));
}

/// Whether no number is NaN or infinite.
pub fn all_finite<E: RowScalar>(x: &[E]) -> bool {
    struct Guard<'a, E>(&'a [E]);

    impl<E: RowScalar> WithSimd for Guard<'_, E> {
        type Output = bool;

        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> bool {
            is_finite::<S, E>(simd, self.0)
        }
    }

    run(Guard(x)).unwrap_or_else(|| x.iter().all(|x| x.to_f64().is_finite()))
}

#[inline(always)]
fn is_finite<S: Simd, E: RowScalar>(simd: S, x: &[E]) -> bool {
    // Zero for a finite number, NaN otherwise.
    let zero = E::splat(simd, E::default());
    let mut sums = [zero; 8];
    let (vectors, rest) = E::vectors::<S>(x);
    let (chunks, left) = vectors.as_chunks::<8>();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum = E::fma(simd, *x, zero, *sum);
        }
    }
    for x in left {
        sums[0] = E::fma(simd, *x, zero, sums[0]);
    }
    sums[1] = E::fma(simd, E::partial(simd, rest), zero, sums[1]);
    let sum = sums.into_iter().fold(zero, |a, b| E::sum(simd, a, b));
    E::reduce(simd, sum) == E::default()
}

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Simd};

    use super::{dots, product_panels, Left};

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
        for rows in 1..8 {
            let (x, w, b) = (integers(rows * I, 3), integers(O * I, 7), integers(O, 4));
            let c = integers(rows * O, 5);

            let mut y = vec![0.0; rows * O];
            dots::<S, f64, I, O, 2, 4>(simd, &x, &w, &b, &mut y);
            let start = b.repeat(rows);
            let expected = product(&start, O, I, |r, i| x[r * I + i], |i, o| w[o * I + i]);
            assert_eq!(y, expected);

            let start = integers(O * I, 2);
            let mut weight_bar = start.clone();
            let left = Left {
                numbers: &c,
                row: 1,
                column: O,
            };
            product_panels::<S, f64, I, 4, 2>(simd, left, &x, &mut weight_bar);
            let expected = product(&start, I, rows, |o, r| c[r * O + o], |r, i| x[r * I + i]);
            assert_eq!(weight_bar, expected);

            let start = integers(rows * I, 6);
            let mut x_bar = start.clone();
            let left = Left {
                numbers: &c,
                row: O,
                column: 1,
            };
            product_panels::<S, f64, I, 4, 2>(simd, left, &w, &mut x_bar);
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
