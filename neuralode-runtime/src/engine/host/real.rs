//! Scalars of the host engine, with elementary functions that the compiler can vectorise.

#![allow(
    clippy::return_self_not_must_use,
    reason = "the functions are those of f32 and f64"
)]
#![allow(clippy::excessive_precision, reason = "coefficients stand as computed")]

use core::{
    fmt::Debug,
    ops::{Add, AddAssign, Div, Mul, Neg, Sub},
};

/// `f32` or `f64`.
///
/// The elementary functions have no branches, so that loops over lanes become vector code; each keeps NaN.
/// Their error bounds are tested in this module.
pub trait Real:
    'static
    + Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// One.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;

    /// Rounds to this type.
    fn from_f64(x: f64) -> Self;
    /// The same number as f64.
    fn to_f64(self) -> f64;
    /// `self * a + b`, rounded once.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// The larger of two numbers; `other` if `self` is NaN.
    fn max(self, other: Self) -> Self;
    /// Hyperbolic tangent; within 5 units in the last place.
    fn tanh(self) -> Self;
    /// `1 / (1 + exp(-x))`; within 5 units in the last place where the result is a normal number.
    fn sigmoid(self) -> Self;
    /// `exp(x)` for `x <= 0`; within 5 units in the last place where the result is a normal number.
    fn exp_below_one(self) -> Self;
    /// Sine, from the standard library.
    fn sin(self) -> Self;
    /// Cosine, from the standard library.
    fn cos(self) -> Self;
}

/// `exp(x) - 1` for `x` in the range that [`Real::tanh`] and [`Real::sigmoid`] need, as `(p, scale)` with
/// `exp(x) - 1 = scale * p + (scale - 1)`: the parts keep their relative accuracy near zero.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`; `p` is the Taylor polynomial of `exp(r) - 1`, `scale = 2^n`.
#[inline(always)]
fn exp_parts_f64(x: f64) -> (f64, f64) {
    /// Adding and subtracting it rounds to an integer, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let shifted = x.mul_add(core::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let scale = f64::from_bits((shifted.to_bits() << 52).wrapping_add(1.0_f64.to_bits()));
    // 1/k! from k = 14 down to 2.
    let mut p = 1.147_074_559_772_972_5e-11;
    for coefficient in [
        1.605_904_383_682_161_5e-10,
        2.087_675_698_786_81e-9,
        2.505_210_838_544_172e-8,
        2.755_731_922_398_589e-7,
        2.755_731_922_398_589e-6,
        2.480_158_730_158_730_2e-5,
        1.984_126_984_126_984e-4,
        1.388_888_888_888_889e-3,
        8.333_333_333_333_333e-3,
        4.166_666_666_666_666_4e-2,
        1.666_666_666_666_666_6e-1,
        0.5,
    ] {
        p = p.mul_add(r, coefficient);
    }
    ((p * r).mul_add(r, r), scale)
}

/// The same in f32.
#[inline(always)]
fn exp_parts_f32(x: f32) -> (f32, f32) {
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_145_75;
    const LN2_LOW: f32 = 1.428_606_8e-6;
    let shifted = x.mul_add(core::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, x));
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    let mut p = 1.984_127e-4_f32;
    for coefficient in [
        1.388_889e-3,
        8.333_334e-3,
        4.166_666_8e-2,
        0.166_666_67,
        0.5,
    ] {
        p = p.mul_add(r, coefficient);
    }
    ((p * r).mul_add(r, r), scale)
}

macro_rules! real {
    ($t:ident, $epsilon:literal, $parts:ident, $tanh_limit:literal, $exp_limit:literal) => {
        impl Real for $t {
            const ONE: Self = 1.0;
            const EPSILON: f64 = $epsilon;

            #[inline(always)]
            #[allow(
                clippy::cast_possible_truncation,
                trivial_numeric_casts,
                reason = "rounding is the purpose, and f64 needs none"
            )]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self.into()
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                $t::mul_add(self, a, b)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline(always)]
            fn max(self, other: Self) -> Self {
                if self > other {
                    self
                } else {
                    other
                }
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                // tanh x = (e - 1) / (e + 1) with e = exp(2 |x|); beyond the limit it rounds to 1.
                let x = self.abs().min($tanh_limit);
                let (p, scale) = $parts(x + x);
                let minus_one = scale.mul_add(p, scale - 1.0);
                let tanh = (minus_one / (minus_one + 2.0)).copysign(self);
                // `min` drops a NaN.
                if self.is_nan() {
                    self
                } else {
                    tanh
                }
            }
            #[inline(always)]
            fn sigmoid(self) -> Self {
                // With e = exp(-|x|) in (0, 1]: 1 / (1 + e) right of zero, e / (1 + e) left of it.
                let x = (-self.abs()).max(-$exp_limit);
                let (p, scale) = $parts(x);
                let e = scale.mul_add(p, scale);
                let numerator = if self < 0.0 { e } else { 1.0 };
                let sigmoid = numerator / (1.0 + e);
                if self.is_nan() {
                    self
                } else {
                    sigmoid
                }
            }
            #[inline(always)]
            fn exp_below_one(self) -> Self {
                let x = if self < -$exp_limit {
                    -$exp_limit
                } else {
                    self
                };
                let (p, scale) = $parts(x);
                let exp = scale.mul_add(p, scale);
                if self < -$exp_limit {
                    0.0
                } else {
                    exp
                }
            }
            #[inline(always)]
            fn sin(self) -> Self {
                $t::sin(self)
            }
            #[inline(always)]
            fn cos(self) -> Self {
                $t::cos(self)
            }
        }
    };
}

real!(f32, 1.192_092_895_507_812_5e-7, exp_parts_f32, 9.1, 87.0);
real!(f64, 2.220_446_049_250_313e-16, exp_parts_f64, 19.1, 708.0);

#[cfg(test)]
mod tests {
    use super::Real;

    /// Deterministic points over the whole interesting range, dense near zero.
    fn points() -> impl Iterator<Item = f64> {
        (0..200_000).map(|i| {
            let u = f64::from(i) / 100_000.0 - 1.0;
            30.0 * u * u * u
        })
    }

    fn worst(found: impl Fn(f64) -> f64, exact: impl Fn(f64) -> f64, unit: f64) -> f64 {
        points()
            .map(|x| {
                let exact = exact(x);
                // The unit in the last place of a number is between `unit / 2` and `unit` of it.
                (found(x) - exact).abs() / (exact.abs().max(f64::MIN_POSITIVE) * unit / 2.0)
            })
            .fold(0.0, f64::max)
    }

    #[test]
    #[allow(clippy::cast_possible_truncation, reason = "points are rounded to f32")]
    fn tanh_and_sigmoid_in_f32_stay_within_their_bounds() {
        let round = |x: f64| f64::from(x as f32);
        let unit = f64::from(f32::EPSILON);
        let tanh = worst(|x| Real::tanh(x as f32).into(), |x| round(x).tanh(), unit);
        let sigmoid = worst(
            |x| Real::sigmoid(x as f32).into(),
            |x| 1.0 / (1.0 + (-round(x)).exp()),
            unit,
        );
        let exp = worst(
            |x| Real::exp_below_one(-(x.abs() as f32)).into(),
            |x| (-round(x).abs()).exp(),
            unit,
        );
        println!("f32: tanh {tanh:.2} ulp, sigmoid {sigmoid:.2} ulp, exp {exp:.2} ulp");
        assert!(tanh <= 5.0 && sigmoid <= 5.0 && exp <= 5.0);
    }

    #[test]
    fn tanh_and_sigmoid_in_f64_stay_within_their_bounds() {
        let tanh = worst(Real::tanh, f64::tanh, f64::EPSILON);
        let sigmoid = worst(Real::sigmoid, |x| 1.0 / (1.0 + (-x).exp()), f64::EPSILON);
        let exp = worst(
            |x| Real::exp_below_one(-x.abs()),
            |x| (-x.abs()).exp(),
            f64::EPSILON,
        );
        println!("f64: tanh {tanh:.2} ulp, sigmoid {sigmoid:.2} ulp, exp {exp:.2} ulp");
        assert!(tanh <= 5.0 && sigmoid <= 5.0 && exp <= 5.0);
    }

    #[test]
    fn limits_zeros_and_nan_are_kept() {
        fn check<E: Real>() {
            let at = |x: f64| E::from_f64(x);
            for x in [50.0, 1e30, f64::INFINITY] {
                assert_eq!(at(x).tanh(), E::ONE);
                assert_eq!((-at(x)).tanh(), -E::ONE);
                assert_eq!(at(x).sigmoid(), E::ONE);
                assert!((-at(x)).sigmoid().to_f64() < 1e-20);
            }
            assert_eq!(at(0.0).tanh().to_f64().to_bits(), 0.0_f64.to_bits());
            assert_eq!(at(-0.0).tanh().to_f64().to_bits(), (-0.0_f64).to_bits());
            assert_eq!(at(0.0).sigmoid(), at(0.5));
            assert_eq!(at(1e-30).tanh(), at(1e-30));
            for x in [2e3, 1e30, f64::INFINITY] {
                assert_eq!((-at(x)).exp_below_one(), E::default());
            }
            assert_eq!(at(0.0).exp_below_one(), E::ONE);
            for f in [E::tanh, E::sigmoid, E::exp_below_one, E::sin, E::cos] {
                assert!(f(at(f64::NAN)).to_f64().is_nan());
            }
        }
        check::<f32>();
        check::<f64>();
    }
}
