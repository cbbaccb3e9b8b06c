//! Integer powers over tiles: the kernels of [`Pow`](crate::layer::Pow).

use pulp::Simd;

use super::{kernel::Tile, real::Real};

/// `y = x^EXPONENT`, by repeated squaring.
#[inline(always)]
pub fn pow<const EXPONENT: i32, S: Simd, E: Real, const N: usize, const L: usize>(
    simd: S,
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for (x, y) in x.iter().zip(y) {
        let y = E::registers_mut::<S>(&mut **y);
        for (x, y) in E::registers::<S>(&**x).iter().zip(y) {
            *y = power::<S, E>(simd, *x, EXPONENT);
        }
    }
}

/// Multiplies a tangent or a cotangent `c` by the derivative of `x^EXPONENT`.
#[inline(always)]
pub fn scale_by_derivative<
    const EXPONENT: i32,
    S: Simd,
    E: Real,
    const N: usize,
    const L: usize,
>(
    simd: S,
    x: &Tile<E, N, L>,
    c: &mut Tile<E, N, L>,
) {
    let factor = E::splat(simd, E::from_f64(f64::from(EXPONENT)));
    for (x, c) in x.iter().zip(c) {
        let c = E::registers_mut::<S>(&mut **c);
        for (x, c) in E::registers::<S>(&**x).iter().zip(c) {
            let derivative = E::product(simd, factor, power::<S, E>(simd, *x, EXPONENT - 1));
            *c = E::product(simd, *c, derivative);
        }
    }
}

/// `x^EXPONENT` for one sample.
#[inline(always)]
pub fn pow_one<const EXPONENT: i32, E: Real, const N: usize>(x: &[E; N]) -> [E; N] {
    x.map(|x| scalar_power(x, EXPONENT))
}

/// Multiplies the cotangent `c` of one sample by the derivative of `x^EXPONENT`.
#[inline(always)]
pub fn scale_one<const EXPONENT: i32, E: Real, const N: usize>(
    x: &[E; N],
    mut c: [E; N],
) -> [E; N] {
    let factor = E::from_f64(f64::from(EXPONENT));
    for (c, x) in c.iter_mut().zip(x) {
        *c = *c * (factor * scalar_power(*x, EXPONENT - 1));
    }
    c
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
