//! Integer powers over tiles and for one sample: the kernels of [`Pow`](crate::layer::Pow).

use pulp::Simd;

use super::{
    layer::{no_params, Filled, Records, Rows, TileLayer},
    real::Real,
    tile::{Row, Sums, Tile},
};
use crate::engine::cuda::FieldSource;

/// `y = x^EXPONENT`, by repeated squaring.
#[derive(Debug)]
pub struct PowLayer<const EXPONENT: i32>;

/// `out = c d`, where `d` is the derivative of `x^EXPONENT`.
#[inline(always)]
fn scaled_by_derivative<const EXPONENT: i32, S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    x: &Tile<E, N, L>,
    c: &Tile<E, N, L>,
    out: &mut Tile<E, N, L>,
) {
    let factor = E::splat(simd, E::from_f64(f64::from(EXPONENT)));
    for n in 0..N {
        let (x, c) = (E::registers::<S>(&*x[n]), E::registers::<S>(&*c[n]));
        let out = E::registers_mut::<S>(&mut *out[n]);
        for r in 0..L / E::lanes::<S>() {
            let power = power::<S, E>(simd, x[r], EXPONENT - 1);
            out[r] = E::product(simd, c[r], E::product(simd, factor, power));
        }
    }
}

impl<const EXPONENT: i32, const N: usize> TileLayer<N, N> for PowLayer<EXPONENT> {
    /// About.
    const PRODUCTS: usize = 4 * N;
    const POINT: bool = true;
    no_params!();
    type One<E: Real> = ();

    #[inline(always)]
    fn forward<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _t: &[f64; L],
        x: &Tile<E, N, L>,
        _rows: Rows<'_, E, L>,
        y: &mut Tile<E, N, L>,
    ) {
        for n in 0..N {
            let x = E::registers::<S>(&*x[n]);
            let y = E::registers_mut::<S>(&mut *y[n]);
            for r in 0..L / E::lanes::<S>() {
                y[r] = power::<S, E>(simd, x[r], EXPONENT);
            }
        }
    }

    /// The way back needs no value.
    #[inline(always)]
    fn recall<S: Simd, E: Real, const L: usize>(
        _simd: S,
        _params: &[E],
        _t: &[f64; L],
        _x: &Tile<E, N, L>,
        _value: Option<&Tile<E, N, L>>,
        _rows: Rows<'_, E, L>,
        _y: &mut Tile<E, N, L>,
    ) {
    }

    #[inline(always)]
    fn backward<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _transposed: &[E],
        x: &Tile<E, N, L>,
        _rows: Rows<'_, E, L>,
        _y: &Tile<E, N, L>,
        c: &mut Tile<E, N, L>,
        x_bar: &mut Tile<E, N, L>,
    ) {
        scaled_by_derivative::<EXPONENT, S, E, N, L>(simd, x, c, x_bar);
    }

    #[inline(always)]
    fn tangent<S: Simd, E: Real, const L: usize>(
        simd: S,
        _params: &[E],
        _direction: &[E],
        x: &Tile<E, N, L>,
        v: &Tile<E, N, L>,
        _rows: Filled<'_, E, L>,
        _y: &Tile<E, N, L>,
        _scratch: &mut [Row<E, L>],
        out: &mut Tile<E, N, L>,
    ) {
        scaled_by_derivative::<EXPONENT, S, E, N, L>(simd, x, v, out);
    }

    #[inline(always)]
    fn forward_one<S: Simd, E: Real>(
        _simd: S,
        _params: &[E],
        _transposed: &[E],
        _t: f64,
        x: &[E; N],
    ) -> ((), [E; N]) {
        ((), x.map(|x| scalar_power(x, EXPONENT)))
    }

    #[inline(always)]
    fn backward_one<S: Simd, E: Real>(
        _simd: S,
        _params: &[E],
        _transposed: &[E],
        x: &[E; N],
        _kept: &(),
        _y: &[E; N],
        mut c: [E; N],
        _theta_bar: &mut [E],
    ) -> [E; N] {
        let factor = E::from_f64(f64::from(EXPONENT));
        for n in 0..N {
            c[n] = c[n] * (factor * scalar_power(x[n], EXPONENT - 1));
        }
        c
    }

    fn cuda(source: FieldSource) -> Option<FieldSource> {
        Some(source.pointwise(&format!("Pow<{EXPONENT}>"), N))
    }
}

/// `x^n` for `n >= 0`.
#[inline(always)]
fn scalar_power<E: Real>(x: E, mut n: i32) -> E {
    let (mut square, mut product) = (x, E::ONE);
    loop {
        if n & 1 == 1 {
            product = product * square;
        }
        n >>= 1;
        if n <= 0 {
            return product;
        }
        square = square * square;
    }
}

/// `x^n` for `n >= 0`, lane by lane.
#[inline(always)]
fn power<S: Simd, E: Real>(simd: S, x: E::Register<S>, mut n: i32) -> E::Register<S> {
    let (mut square, mut product) = (x, E::splat(simd, E::ONE));
    loop {
        if n & 1 == 1 {
            product = E::product(simd, product, square);
        }
        n >>= 1;
        if n <= 0 {
            return product;
        }
        square = E::product(simd, square, square);
    }
}

#[cfg(test)]
mod tests {
    use pulp::Scalar;

    use super::power;

    #[test]
    fn powers_are_those_of_the_standard_library() {
        let x = [-1.5, -0.0, 0.0, 0.3, 1.0, f64::NAN, f64::INFINITY, 2.0];
        for n in 0..40 {
            for x in x {
                let found: f64 = power::<_, f64>(Scalar, x, n);
                let expected = x.powi(n);
                let close = (found - expected).abs() <= 1e-14 * expected.abs();
                assert!(
                    close || found.to_bits() == expected.to_bits() || found.is_nan() && x.is_nan(),
                    "{x}^{n}: {found} != {expected}"
                );
            }
        }
    }
}
