//! A power with a fixed exponent, between one step's error and the next one's size.

/// `x^exponent` for positive `x`, to a relative error of 1e-12.
///
/// In a small system the error of a step, its power and the next step's first stage wait for each other, and the
/// general `powf` takes long to answer. With `x = 2^e c (1 + u)`, `c` in the middle of one of 16
/// parts of `1..2` and `|u| < 1/32`, it is a product of two numbers from tables and a binomial series. Outside of
/// `2^-96..2^32` it is the standard library's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Power {
    exponent: f64,
    /// `2^(e exponent)`, from `e = LOWEST` on.
    of_exponents: [f64; EXPONENTS],
    /// `c^exponent` for the middle of each part.
    of_parts: [f64; PARTS],
    /// Coefficients of `(1 + u)^exponent`, from the power 1 on.
    series: [f64; 7],
}

const EXPONENTS: usize = 128;
const LOWEST: i32 = -96;
const PARTS: usize = 16;
const PART_BITS: u32 = PARTS.ilog2();
/// Bits of the mantissa.
const MANTISSA: u32 = f64::MANTISSA_DIGITS - 1;

impl Power {
    pub(crate) fn new(exponent: f64) -> Self {
        let base = exponent.exp2();
        let mut power = (f64::from(LOWEST) * exponent).exp2();
        let of_exponents = core::array::from_fn(|_| {
            let this = power;
            power *= base;
            this
        });
        let mut coefficient = 1.0;
        let mut k = 0.0;
        let series = core::array::from_fn(|_| {
            coefficient *= (exponent - k) / (k + 1.0);
            k += 1.0;
            coefficient
        });
        Self {
            exponent,
            of_exponents,
            of_parts: MIDDLES.map(|middle| middle.powf(exponent)),
            series,
        }
    }

    /// The power of `x`.
    #[inline]
    pub(crate) fn of(&self, x: f64) -> f64 {
        if Self::is_inside(x) {
            self.inside(x)
        } else {
            x.powf(self.exponent)
        }
    }

    /// The powers of many numbers, the same bits as those of each alone.
    #[inline(always)]
    #[allow(
        clippy::inline_always,
        reason = "inlined into a function that runs under the widest vector instructions"
    )]
    pub(crate) fn of_each<const L: usize>(&self, xs: &[f64; L], powers: &mut [f64; L]) {
        let mut scales = [0.0; L];
        let mut inverse_middles = [0.0; L];
        let mut all_inside = true;
        // Tables apart from arithmetic, which becomes vector code.
        for l in 0..L {
            (scales[l], inverse_middles[l]) = self.look_up(xs[l]);
        }
        for l in 0..L {
            all_inside &= Self::is_inside(xs[l]);
            powers[l] = self.near_middle(scales[l], Self::offset(xs[l], inverse_middles[l]));
        }
        if !all_inside {
            for (x, power) in xs.iter().zip(powers) {
                *power = self.of(*x);
            }
        }
    }

    /// Sign and exponent of `x`, less the lowest exponent of the table.
    #[inline]
    fn place(x: f64) -> u64 {
        #[allow(clippy::cast_sign_loss, reason = "the bias is larger")]
        const FIRST: u64 = (1023 + LOWEST) as u64;
        (x.to_bits() >> MANTISSA).wrapping_sub(FIRST)
    }

    /// Whether the tables reach to `x`.
    #[inline]
    fn is_inside(x: f64) -> bool {
        Self::place(x) < EXPONENTS as u64
    }

    /// The power of an `x` to which the tables reach; elsewhere a number without a meaning.
    #[inline]
    fn inside(&self, x: f64) -> f64 {
        let (scale, inverse_middle) = self.look_up(x);
        self.near_middle(scale, Self::offset(x, inverse_middle))
    }

    /// The power of the middle of the part that `x` is in, and `1 / c`.
    #[inline]
    fn look_up(&self, x: f64) -> (f64, f64) {
        #[allow(
            clippy::cast_possible_truncation,
            reason = "seven bits of an exponent, four of a part"
        )]
        let (e, part) = (
            Self::place(x) as usize % EXPONENTS,
            (x.to_bits() >> (MANTISSA - PART_BITS)) as usize % PARTS,
        );
        (
            self.of_exponents[e] * self.of_parts[part],
            INVERSE_MIDDLES[part],
        )
    }

    /// `u`.
    #[inline]
    fn offset(x: f64, inverse_middle: f64) -> f64 {
        const FRACTION: u64 = (1 << MANTISSA) - 1;
        let mantissa = f64::from_bits(x.to_bits() & FRACTION | 1.0_f64.to_bits());
        mantissa * inverse_middle - 1.0
    }

    /// `scale (1 + u)^exponent`.
    #[inline]
    fn near_middle(&self, scale: f64, u: f64) -> f64 {
        let [c1, c2, c3, c4, c5, c6, c7] = self.series;
        let square = u * u;
        // In pairs, so that they do not wait for each other.
        let low = (1.0 + c1 * u) + square * (c2 + c3 * u);
        let high = (c4 + c5 * u) + square * (c6 + c7 * u);
        scale * (low + square * square * high)
    }
}

const MIDDLES: [f64; PARTS] = middles();
const INVERSE_MIDDLES: [f64; PARTS] = {
    let mut inverses = middles();
    let mut i = 0;
    while i < PARTS {
        inverses[i] = 1.0 / inverses[i];
        i += 1;
    }
    inverses
};

const fn middles() -> [f64; PARTS] {
    let mut middles = [0.0; PARTS];
    let mut i = 0;
    let mut at = 1.0 + 1.0 / 32.0;
    while i < PARTS {
        middles[i] = at;
        at += 1.0 / 16.0;
        i += 1;
    }
    middles
}

#[cfg(test)]
mod tests {
    use super::Power;

    #[test]
    fn powers_are_those_of_the_standard_library_to_twelve_digits() {
        for exponent in [-0.5, -0.25, -0.1, -0.0625, 0.07, 0.2, 1.0] {
            let power = Power::new(exponent);
            for i in 0..100_000 {
                let x = (f64::from(i) * 2e-3 - 120.0).exp2();
                let (found, exact) = (power.of(x), x.powf(exponent));
                assert!(
                    (found / exact - 1.0).abs() < 1e-12,
                    "{x:e}^{exponent}: {found} {exact}"
                );
            }
        }
    }

    #[test]
    #[allow(clippy::float_cmp, reason = "equal bits are meant")]
    fn zero_infinity_and_nan_have_their_powers() {
        let power = Power::new(-0.1);
        assert_eq!(power.of(0.0), f64::INFINITY);
        assert_eq!(
            power.of(f64::MIN_POSITIVE / 8.0),
            (f64::MIN_POSITIVE / 8.0).powf(-0.1)
        );
        assert_eq!(power.of(f64::INFINITY), 0.0);
        assert!(power.of(f64::NAN).is_nan());
        assert!((power.of(1.0) - 1.0).abs() < 1e-12);
    }
}
