//! Integer powers over tiles: the kernels of [`Pow`](crate::layer::Pow).

use super::{kernel::Tile, real::Real};

/// `y = x^EXPONENT`, by repeated squaring.
#[inline(always)]
pub fn pow<const EXPONENT: i32, E: Real, const N: usize, const L: usize>(
    x: &Tile<E, N, L>,
    y: &mut Tile<E, N, L>,
) {
    for (x, y) in x.iter().zip(y) {
        *y = lanes(x, EXPONENT);
    }
}

/// Multiplies a tangent or a cotangent `c` by the derivative of `x^EXPONENT`.
#[inline(always)]
pub fn scale_by_derivative<const EXPONENT: i32, E: Real, const N: usize, const L: usize>(
    x: &Tile<E, N, L>,
    c: &mut Tile<E, N, L>,
) {
    let factor = E::from_f64(f64::from(EXPONENT));
    for (x, c) in x.iter().zip(c) {
        let power = lanes(x, EXPONENT - 1);
        for l in 0..L {
            c[l] = c[l] * (factor * power[l]);
        }
    }
}

/// `x^n` for `n >= 0`.
#[inline(always)]
fn lanes<E: Real, const L: usize>(x: &[E; L], mut n: i32) -> [E; L] {
    let (mut square, mut product) = (*x, [E::ONE; L]);
    loop {
        if n & 1 == 1 {
            for l in 0..L {
                product[l] = product[l] * square[l];
            }
        }
        n >>= 1;
        if n <= 0 {
            return product;
        }
        for s in &mut square {
            *s = *s * *s;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::lanes;

    #[test]
    fn powers_are_those_of_the_standard_library() {
        let x = [-1.5, -0.0, 0.0, 0.3, 1.0, f64::NAN, f64::INFINITY, 2.0];
        for n in 0..40 {
            for (found, x) in lanes(&x, n).into_iter().zip(x) {
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
