//! Affine maps over contiguous rows, `(batch, I)` to `(batch, O)`: the kernels of layers between blocks.
//!
//! Vectors run along a row's features. Products are computed in blocks that stay in registers, and calls run under
//! the processor's widest instructions. The order of a sum depends on the width of the vectors, and that of a
//! parameter's gradient on the number of samples; never on the number of threads among which large products are
//! split, by rows of their result or by groups of samples.

mod dots;
mod products;

use core::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    kernel::activation::TileActivation,
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
                dots::affine(size, x, w, b, y, check)
            }

            fn add_weight_gradient(size: Size, x: &[Self], c: &[Self], weight_bar: &mut [Self]) {
                products::add_weight_gradient(size, x, c, weight_bar);
            }

            fn add_input_gradient(size: Size, w: &[Self], c: &[Self], x_bar: &mut [Self]) {
                products::add_input_gradient(size, w, c, x_bar);
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

/// Rows of the result per thread, a multiple of `block`, for a product with `work` multiply-adds per row; `None` for
/// one thread.
///
/// A number of the result is always summed by one thread in one order: the split does not change it.
fn rows_per_thread(rows: usize, work: usize, block: usize) -> Option<usize> {
    let threads = parallel::threads(rows.saturating_mul(work), rows.div_ceil(block));
    let share = rows.div_ceil(threads).next_multiple_of(block);
    (share < rows).then_some(share)
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

    use super::{dots::dots, products::product_panels, Size};

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
