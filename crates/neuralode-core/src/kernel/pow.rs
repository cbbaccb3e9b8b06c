//! Integer powers: the kernels of `Pow`.

use pulp::Simd;

use crate::{kernel::activation::TileActivation, simd::real::Real};

/// `x^EXPONENT`, by repeated squaring.
#[derive(Debug)]
pub struct Power<const EXPONENT: i32>;

impl<const EXPONENT: i32> TileActivation for Power<EXPONENT> {
    const KINKS: bool = false;
    const FROM_ARGUMENT: bool = true;
    const FROM_VALUE: bool = false;

    fn name() -> String {
        format!("Pow<{EXPONENT}>")
    }

    #[inline(always)]
    fn value<S: Simd, E: Real>(x: E) -> E {
        power(x, EXPONENT)
    }

    #[inline(always)]
    fn derivative<S: Simd, E: Real>(x: E, _: E) -> E {
        E::from_f64(f64::from(EXPONENT)) * power(x, EXPONENT - 1)
    }

    #[inline(always)]
    fn scale<S: Simd, E: Real>(_: S, _: E::Register<S>, c: E::Register<S>) -> E::Register<S> {
        c
    }
}

/// `x^n` for `n >= 0`.
#[inline(always)]
fn power<E: Real>(x: E, mut n: i32) -> E {
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

#[cfg(test)]
mod tests {
    use super::power;

    #[test]
    fn powers_are_those_of_the_standard_library() {
        let x = [-1.5, -0.0, 0.0, 0.3, 1.0, f64::NAN, f64::INFINITY, 2.0];
        for n in 0..40 {
            for x in x {
                let found: f64 = power(x, n);
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
