//! Scalars of kernels, with elementary functions that the compiler can vectorise.

#![allow(
    clippy::return_self_not_must_use,
    reason = "the functions are those of f32 and f64"
)]
#![allow(clippy::excessive_precision, reason = "coefficients stand as computed")]

use core::{
    fmt::Debug,
    ops::{Add, AddAssign, Div, Mul, Neg, Sub},
};

use pulp::Simd;

use crate::simd::coefficients::Coefficients;

/// Whether `a * b + c` is one instruction under `S`; where it is not, it is rounded twice rather than
/// computed by a library call.
pub const fn fused<S: Simd>() -> bool {
    S::F32_LANES > 1
}

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
    + Coefficients
{
    /// One.
    const ONE: Self;
    /// Distance from 1 to the next larger number.
    const EPSILON: f64;

    /// A vector register under `S`, with [`Self::lanes`] scalars.
    type Register<S: Simd>: Copy;
    /// Scalars per register.
    fn lanes<S: Simd>() -> usize;
    /// The registers that a row of whole registers consists of.
    fn registers<S: Simd>(row: &[Self]) -> &[Self::Register<S>];
    /// The same, to be written.
    fn registers_mut<S: Simd>(row: &mut [Self]) -> &mut [Self::Register<S>];
    /// `x` in every lane.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Register<S>;
    /// `a * b + c` in every lane.
    fn fma<S: Simd>(
        simd: S,
        a: Self::Register<S>,
        b: Self::Register<S>,
        c: Self::Register<S>,
    ) -> Self::Register<S>;
    /// `c - a * b` in every lane.
    fn neg_fma<S: Simd>(
        simd: S,
        a: Self::Register<S>,
        b: Self::Register<S>,
        c: Self::Register<S>,
    ) -> Self::Register<S>;
    /// `a * b` in every lane.
    fn product<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;
    /// The sum over the lanes, in an order of the processor's.
    fn reduce<S: Simd>(simd: S, a: Self::Register<S>) -> Self;
    /// `x` where `a > 0`, `y` elsewhere.
    fn where_positive<S: Simd>(
        simd: S,
        a: Self::Register<S>,
        x: Self::Register<S>,
        y: Self::Register<S>,
    ) -> Self::Register<S>;
    /// `a + b` in every lane.
    fn sum<S: Simd>(simd: S, a: Self::Register<S>, b: Self::Register<S>) -> Self::Register<S>;

    /// Rounds to this type.
    fn from_f64(x: f64) -> Self;
    /// The same number as f64.
    fn to_f64(self) -> f64;
    /// `self * a + b`, rounded once where the processor can; see [`fused`].
    fn mul_add<S: Simd>(self, a: Self, b: Self) -> Self;
    /// Absolute value.
    fn abs(self) -> Self;
    /// The larger of two numbers; `other` if `self` is NaN.
    fn max(self, other: Self) -> Self;
    /// Hyperbolic tangent; within 5 units in the last place.
    fn tanh<S: Simd>(self) -> Self;
    /// `1 / (1 + exp(-x))`; within 5 units in the last place where the result is a normal number.
    fn sigmoid<S: Simd>(self) -> Self;
    /// `exp(x)` for `x <= 0`; within 5 units in the last place where the result is a normal number.
    fn exp_below_one<S: Simd>(self) -> Self;
    /// `exp(x) - 1` for `x <= 0`; within 5 units in the last place.
    fn exp_minus_one<S: Simd>(self) -> Self;
    /// Square root.
    fn sqrt(self) -> Self;
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
fn exp_parts_f64<S: Simd>(x: f64) -> (f64, f64) {
    /// Adding and subtracting it rounds to an integer, which then stands in the lowest bits.
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let shifted = Real::mul_add::<S>(x, core::f64::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = Real::mul_add::<S>(n, -LN2_LOW, Real::mul_add::<S>(n, -LN2_HIGH, x));
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
        p = Real::mul_add::<S>(p, r, coefficient);
    }
    (Real::mul_add::<S>(p * r, r, r), scale)
}

/// The same in f32.
#[inline(always)]
fn exp_parts_f32<S: Simd>(x: f32) -> (f32, f32) {
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_145_75;
    const LN2_LOW: f32 = 1.428_606_8e-6;
    let shifted = Real::mul_add::<S>(x, core::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = Real::mul_add::<S>(n, -LN2_LOW, Real::mul_add::<S>(n, -LN2_HIGH, x));
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    let mut p = 1.984_127e-4_f32;
    for coefficient in [
        1.388_889e-3,
        8.333_334e-3,
        4.166_666_8e-2,
        0.166_666_67,
        0.5,
    ] {
        p = Real::mul_add::<S>(p, r, coefficient);
    }
    (Real::mul_add::<S>(p * r, r, r), scale)
}

/// `tanh x = (e - 1) / (e + 1)` with `e = exp(2 |x|)`.
#[inline(always)]
fn tanh_f64<S: Simd>(x: f64) -> f64 {
    /// Beyond it the result rounds to 1.
    const LIMIT: f64 = 19.1;
    let magnitude = x.abs().min(LIMIT);
    let (p, scale) = exp_parts_f64::<S>(magnitude + magnitude);
    let minus_one = Real::mul_add::<S>(scale, p, scale - 1.0);
    let tanh = (minus_one / (minus_one + 2.0)).copysign(x);
    // `min` drops a NaN.
    if x.is_nan() {
        x
    } else {
        tanh
    }
}

/// `tanh x = x P(x^2) / Q(x^2)` with polynomials of degree 4 fitted to the least relative error, 2.2e-8, for
/// `|x| <= 9.02`; beyond it the result rounds to 1.
///
#[inline(always)]
fn tanh_f32<S: Simd>(x: f32) -> f32 {
    const LIMIT: f32 = 9.02;
    if const { !fused::<S>() } {
        // Every multiply-add would be rounded twice.
        return f32::from_f64(tanh_f64::<S>(f64::from(x)));
    }
    let x = within(x, LIMIT);
    let u = x * x;
    let [mut p, mut q] = [1.338_415_7e-8_f32, 7.790_195_2e-7];
    for (a, b) in [
        (2.063_572_8e-5, 3.288_508e-4),
        (3.497_452e-3, 2.588_434e-2),
        (0.133_826_83, 0.467_160_04),
        (1.0, 1.0),
    ] {
        p = Real::mul_add::<S>(p, u, a);
        q = Real::mul_add::<S>(q, u, b);
    }
    within(quotient_f32::<S>(x * p, q), 1.0)
}

/// The number nearest to `x` whose magnitude is at most `limit`; comparisons in this order keep a NaN.
#[inline(always)]
fn within(x: f32, limit: f32) -> f32 {
    let x = if limit < x { limit } else { x };
    if x < -limit {
        -limit
    } else {
        x
    }
}

/// `n / d` for a normal `d > 0`, within two units in the last place.
///
/// In registers of 512 bits without a division: some processors take 16 cycles for one, and for these seven operations
/// four. Negating the exponent, in effect, gives a start for `1 / d` with a relative error of at most 5.1 %; a step of
/// third order leaves 1.3e-4, and one of second order on the quotient 1.7e-8.
#[inline(always)]
fn quotient_f32<S: Simd>(n: f32, d: f32) -> f32 {
    if const { S::F32_LANES < 16 } {
        return n / d;
    }
    let start = f32::from_bits(0x7ef3_1000_u32.wrapping_sub(d.to_bits()));
    let error = Real::mul_add::<S>(-d, start, 1.0);
    let inverse = Real::mul_add::<S>(start, Real::mul_add::<S>(error, error, error), start);
    let quotient = n * inverse;
    let error = Real::mul_add::<S>(-d, quotient, n);
    // The sign of a zero is lost on the way.
    Real::mul_add::<S>(error, inverse, quotient).copysign(n)
}

macro_rules! real {
    (
        $t:ident, $epsilon:literal, $parts:ident, $tanh:ident, $exp_limit:literal,
        $register:ident, $lanes:ident, $as_simd:ident, $as_mut_simd:ident, $splat:ident, $fma:ident,
        $add:ident, $mul:ident, $sub:ident, $select:ident, $greater:ident, $reduce:ident
    ) => {
        impl Real for $t {
            const ONE: Self = 1.0;
            const EPSILON: f64 = $epsilon;

            type Register<S: Simd> = S::$register;
            #[inline(always)]
            fn lanes<S: Simd>() -> usize {
                S::$lanes
            }
            #[inline(always)]
            fn registers<S: Simd>(row: &[Self]) -> &[S::$register] {
                S::$as_simd(row).0
            }
            #[inline(always)]
            fn registers_mut<S: Simd>(row: &mut [Self]) -> &mut [S::$register] {
                S::$as_mut_simd(row).0
            }
            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$register {
                simd.$splat(x)
            }
            #[inline(always)]
            fn fma<S: Simd>(
                simd: S,
                a: S::$register,
                b: S::$register,
                c: S::$register,
            ) -> S::$register {
                simd.$fma(a, b, c)
            }
            #[inline(always)]
            fn neg_fma<S: Simd>(
                simd: S,
                a: S::$register,
                b: S::$register,
                c: S::$register,
            ) -> S::$register {
                // A negation of its own is a call of a function without link-time optimisation.
                simd.$fma(simd.$sub(simd.$splat(-0.0), a), b, c)
            }
            #[inline(always)]
            fn product<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$mul(a, b)
            }
            #[inline(always)]
            fn reduce<S: Simd>(simd: S, a: S::$register) -> Self {
                simd.$reduce(a)
            }
            #[inline(always)]
            fn where_positive<S: Simd>(
                simd: S,
                a: S::$register,
                x: S::$register,
                y: S::$register,
            ) -> S::$register {
                simd.$select(simd.$greater(a, simd.$splat(0.0)), x, y)
            }
            #[inline(always)]
            fn sum<S: Simd>(simd: S, a: S::$register, b: S::$register) -> S::$register {
                simd.$add(a, b)
            }

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
            fn mul_add<S: Simd>(self, a: Self, b: Self) -> Self {
                if const { fused::<S>() } {
                    $t::mul_add(self, a, b)
                } else {
                    self * a + b
                }
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
            fn tanh<S: Simd>(self) -> Self {
                $tanh::<S>(self)
            }
            #[inline(always)]
            fn sigmoid<S: Simd>(self) -> Self {
                // With e = exp(-|x|) in (0, 1]: 1 / (1 + e) right of zero, e / (1 + e) left of it.
                let x = (-self.abs()).max(-$exp_limit);
                let (p, scale) = $parts::<S>(x);
                let e = Real::mul_add::<S>(scale, p, scale);
                let numerator = if self < 0.0 { e } else { 1.0 };
                let sigmoid = numerator / (1.0 + e);
                if self.is_nan() {
                    self
                } else {
                    sigmoid
                }
            }
            #[inline(always)]
            fn exp_below_one<S: Simd>(self) -> Self {
                let x = if self < -$exp_limit {
                    -$exp_limit
                } else {
                    self
                };
                let (p, scale) = $parts::<S>(x);
                let exp = Real::mul_add::<S>(scale, p, scale);
                if self < -$exp_limit {
                    0.0
                } else {
                    exp
                }
            }
            #[inline(always)]
            fn exp_minus_one<S: Simd>(self) -> Self {
                let x = if self < -$exp_limit {
                    -$exp_limit
                } else {
                    self
                };
                let (p, scale) = $parts::<S>(x);
                Real::mul_add::<S>(scale, p, scale - 1.0)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                $t::sqrt(self)
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

real!(
    f32,
    1.192_092_895_507_812_5e-7,
    exp_parts_f32,
    tanh_f32,
    87.0,
    f32s,
    F32_LANES,
    as_simd_f32s,
    as_mut_simd_f32s,
    splat_f32s,
    mul_add_e_f32s,
    add_f32s,
    mul_f32s,
    sub_f32s,
    select_f32s,
    greater_than_f32s,
    reduce_sum_f32s
);
real!(
    f64,
    2.220_446_049_250_313e-16,
    exp_parts_f64,
    tanh_f64,
    708.0,
    f64s,
    F64_LANES,
    as_simd_f64s,
    as_mut_simd_f64s,
    splat_f64s,
    mul_add_e_f64s,
    add_f64s,
    mul_f64s,
    sub_f64s,
    select_f64s,
    greater_than_f64s,
    reduce_sum_f64s
);

#[cfg(test)]
mod tests {
    use pulp::{Scalar, Scalar128b as Fused, Scalar512b as Wide, Simd};

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
        fn check<S: Simd>() {
            let round = |x: f64| f64::from(x as f32);
            let unit = f64::from(f32::EPSILON);
            let tanh = worst(
                |x| Real::tanh::<S>(x as f32).into(),
                |x| round(x).tanh(),
                unit,
            );
            let sigmoid = worst(
                |x| Real::sigmoid::<S>(x as f32).into(),
                |x| 1.0 / (1.0 + (-round(x)).exp()),
                unit,
            );
            let exp = worst(
                |x| Real::exp_below_one::<S>(-(x.abs() as f32)).into(),
                |x| (-round(x).abs()).exp(),
                unit,
            );
            println!("f32: tanh {tanh:.2} ulp, sigmoid {sigmoid:.2} ulp, exp {exp:.2} ulp");
            assert!(tanh <= 5.0 && sigmoid <= 5.0 && exp <= 5.0);
        }
        check::<Fused>();
        check::<Wide>();
        check::<Scalar>();
    }

    #[test]
    fn tanh_and_sigmoid_in_f64_stay_within_their_bounds() {
        fn check<S: Simd>() {
            let tanh = worst(Real::tanh::<S>, f64::tanh, f64::EPSILON);
            let sigmoid = worst(
                Real::sigmoid::<S>,
                |x| 1.0 / (1.0 + (-x).exp()),
                f64::EPSILON,
            );
            let exp = worst(
                |x| Real::exp_below_one::<S>(-x.abs()),
                |x| (-x.abs()).exp(),
                f64::EPSILON,
            );
            println!("f64: tanh {tanh:.2} ulp, sigmoid {sigmoid:.2} ulp, exp {exp:.2} ulp");
            assert!(tanh <= 5.0 && sigmoid <= 5.0 && exp <= 5.0);
        }
        check::<Fused>();
        check::<Scalar>();
    }

    #[test]
    #[allow(clippy::cast_possible_truncation, reason = "points are rounded to f32")]
    fn tanh_is_odd_and_stays_within_one() {
        fn check<S: Simd>() {
            // Where a quotient of rounded polynomials may pass 1.
            for x in (0..400_000).map(|i| (7.5 + 5e-6 * f64::from(i)) as f32) {
                let y = Real::tanh::<S>(x);
                assert!(y <= 1.0, "tanh {x} is {y}");
                assert_eq!(Real::tanh::<S>(-x).to_bits(), (-y).to_bits());
            }
        }
        check::<Fused>();
        check::<Wide>();
        check::<Scalar>();
    }

    #[test]
    fn limits_zeros_and_nan_are_kept() {
        fn check<S: Simd, E: Real>() {
            let at = |x: f64| E::from_f64(x);
            for x in [50.0, 1e30, f64::INFINITY] {
                assert_eq!(at(x).tanh::<S>(), E::ONE);
                assert_eq!((-at(x)).tanh::<S>(), -E::ONE);
                assert_eq!(at(x).sigmoid::<S>(), E::ONE);
                assert!((-at(x)).sigmoid::<S>().to_f64() < 1e-20);
            }
            assert_eq!(at(0.0).tanh::<S>().to_f64().to_bits(), 0.0_f64.to_bits());
            assert_eq!(
                at(-0.0).tanh::<S>().to_f64().to_bits(),
                (-0.0_f64).to_bits()
            );
            assert_eq!(at(0.0).sigmoid::<S>(), at(0.5));
            assert_eq!(at(1e-30).tanh::<S>(), at(1e-30));
            for x in [2e3, 1e30, f64::INFINITY] {
                assert_eq!((-at(x)).exp_below_one::<S>(), E::default());
            }
            assert_eq!(at(0.0).exp_below_one::<S>(), E::ONE);
            for f in [
                E::tanh::<S>,
                E::sigmoid::<S>,
                E::exp_below_one::<S>,
                E::sin,
                E::cos,
            ] {
                assert!(f(at(f64::NAN)).to_f64().is_nan());
            }
        }
        check::<Fused, f32>();
        check::<Wide, f32>();
        check::<Scalar, f32>();
        check::<Fused, f64>();
        check::<Scalar, f64>();
    }
}
