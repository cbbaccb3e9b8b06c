//! Activations that are more than one elementary function, lane by lane: values and derivatives without branches.
//!
//! All keep NaN, and none of them overflows where its result does not: infinite arguments give the limits. Their error
//! bounds are tested in this module; units in the last place are those of the result.

#![allow(clippy::excessive_precision, reason = "coefficients stand as computed")]

use pulp::Simd;

use crate::simd::real::Real;

#[inline(always)]
fn polynomial<S: Simd, E: Real>(coefficients: &[E], x: E) -> E {
    let mut sum = E::default();
    for coefficient in coefficients {
        sum = sum.mul_add::<S>(x, *coefficient);
    }
    sum
}

/// `x` where it is not above `limit`, else `limit`; keeps NaN.
#[inline(always)]
fn at_most<E: Real>(x: E, limit: f64) -> E {
    let limit = E::from_f64(limit);
    if x > limit {
        limit
    } else {
        x
    }
}

/// `x` where it is not below `limit`, else `limit`; keeps NaN.
#[inline(always)]
fn at_least<E: Real>(x: E, limit: f64) -> E {
    let limit = E::from_f64(limit);
    if x < limit {
        limit
    } else {
        x
    }
}

/// `log(1 + u)` for `0 <= u <= 1`, within 5 units in the last place: `2 artanh(s)` with `s = u / (2 + u)`.
#[inline(always)]
pub fn log_one_plus<S: Simd, E: Real>(u: E) -> E {
    let s = u / (u + E::ONE + E::ONE);
    let square = s * s;
    let twice = s + s;
    (twice * square).mul_add::<S>(polynomial::<S, E>(E::ARTANH, square), twice)
}

/// `log(1 + exp(x))`, within 8 units in the last place where the result is a normal number; linear where `exp(x)` would
/// overflow.
#[inline(always)]
pub fn softplus<S: Simd, E: Real>(x: E) -> E {
    let tail = log_one_plus::<S, E>((-x.abs()).exp_below_one::<S>());
    at_least(x, 0.0) + tail
}

/// `x` right of zero and `exp(x) - 1` left of it, within 5 units in the last place.
#[inline(always)]
pub fn elu<S: Simd, E: Real>(x: E) -> E {
    let left = at_most(x, 0.0).exp_minus_one::<S>();
    if x < E::default() {
        left
    } else {
        x
    }
}

/// Beyond it the normal distribution and the sigmoid of f32 and f64 are zero or one.
const FAR: f64 = 1000.0;

/// `x / (1 + exp(-x))`, within 8 units in the last place where the result is a normal number.
#[inline(always)]
pub fn silu<S: Simd, E: Real>(x: E) -> E {
    let x = at_least(x, -FAR);
    let e = (-x.abs()).exp_below_one::<S>();
    let numerator = if x < E::default() { x * e } else { x };
    numerator / (E::ONE + e)
}

/// The derivative `s (1 + x (1 - s))` of [`silu`], `s` the sigmoid of `x`.
#[inline(always)]
pub fn silu_derivative<S: Simd, E: Real>(x: E) -> E {
    let x = at_least(at_most(x, FAR), -FAR);
    let e = (-x.abs()).exp_below_one::<S>();
    let inverse = E::ONE / (E::ONE + e);
    let (one, other) = (inverse, e * inverse);
    let (s, rest) = if x < E::default() {
        (other, one)
    } else {
        (one, other)
    };
    s * x.mul_add::<S>(rest, E::ONE)
}

/// The distribution function and the density of the normal distribution at `-40 <= x <= 40`: `erfc(-x / sqrt(2)) / 2`
/// and `exp(-x^2 / 2) / sqrt(2 pi)`.
///
/// With `t = |x| / sqrt(2)`, `erfc(t) = exp(-t^2) P / (1 + 2 t)`, where `P` is a polynomial of `(t - c) / (t + c)`: M.
/// M. Shepherd, J. G. Laframboise, "Chebyshev approximation of `(1 + 2x) exp(x^2) erfc x` in `0 <= x < inf`", Math.
/// Comp. 36 (1981), DOI 10.1090/S0025-5718-1981-0595058-X. The square's rounding error goes into the exponential, so
/// that the left tail keeps its digits.
#[inline(always)]
fn normal<S: Simd, E: Real>(x: E) -> (E, E) {
    let of = E::from_f64;
    let magnitude = x.abs();
    let square = magnitude * magnitude;
    let scaled = magnitude * of(E::SPLIT);
    let upper = scaled - (scaled - magnitude);
    // Both products are exact: what rounding took from the square.
    let error = (upper * upper - square) + (magnitude - upper) * (magnitude + upper);
    let exp = (of(-0.5) * square).exp_below_one::<S>();
    let exp = (of(-0.5) * exp).mul_add::<S>(error, exp);
    let t = magnitude * of(core::f64::consts::FRAC_1_SQRT_2);
    let (above, line) = (t + of(E::CENTRE), t + t + E::ONE);
    let inverse = E::ONE / (above * line);
    let q = (t - of(E::CENTRE)) * line * inverse;
    let p = polynomial::<S, E>(E::ERFCX, q);
    let tail = of(0.5) * exp * p * (above * inverse);
    let below = if x < E::default() {
        tail
    } else {
        E::ONE - tail
    };
    // `1 / sqrt(2 pi)`
    (below, of(0.398_942_280_401_432_677_94) * exp)
}

/// `x Phi(x)` with the distribution function `Phi` of the normal distribution: the exact `gelu`, by `erf`, not by
/// `tanh`. Within 16 units in the last place where the result is a normal number, in the left tail too.
///
/// D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415.
#[inline(always)]
pub fn gelu<S: Simd, E: Real>(x: E) -> E {
    let x = at_least(x, -40.0);
    let (below, _) = normal::<S, E>(at_most(x, 40.0));
    x * below
}

/// The derivative `Phi(x) + x phi(x)` of [`gelu`].
#[inline(always)]
pub fn gelu_derivative<S: Simd, E: Real>(x: E) -> E {
    let x = at_least(at_most(x, 40.0), -40.0);
    let (below, density) = normal::<S, E>(x);
    x.mul_add::<S>(density, below)
}

#[cfg(test)]
#[allow(
    clippy::unreadable_literal,
    clippy::approx_constant,
    clippy::float_cmp,
    reason = "numbers as the reference printed them; equal ones are the same bits"
)]
mod tests {
    use pulp::{Scalar, Scalar128b as Fused, Simd};

    use super::{
        elu, gelu, gelu_derivative, log_one_plus, normal, silu, silu_derivative, softplus, Real,
    };

    /// The distribution function of the normal distribution, computed with 60 digits.
    const NORMAL: &[(f64, f64)] = &[
        (-37.5, 4.605353009581955e-308),
        (-37.0, 5.725571222524577e-300),
        (-35.18066203703703, 1.97551295755143e-271),
        (-33.421962962962965, 3.2887205733993923e-245),
        (-31.722875, 3.758194341045675e-221),
        (-30.08237037037037, 4.120399505277722e-199),
        (-28.499421296296294, 5.954664058822962e-179),
        (-26.973000000000006, 1.5328146437662073e-160),
        (-25.5020787037037, 9.346613015430083e-144),
        (-24.085629629629633, 1.7679916442883497e-128),
        (-22.722624999999997, 1.3386076359666942e-114),
        (-21.412037037037038, 5.1600862640848726e-102),
        (-20.15283796296296, 1.2705990556101036e-90),
        (-18.944000000000003, 2.474519690431234e-80),
        (-17.784495370370372, 4.659933536283193e-71),
        (-16.6732962962963, 1.0248628266526473e-62),
        (-15.609375, 3.1424822694363567e-55),
        (-14.5917037037037, 1.5858833588784204e-48),
        (-13.619254629629628, 1.538460085939601e-42),
        (-12.690999999999999, 3.3166693217549455e-37),
        (-11.805912037037038, 1.8191224306236328e-32),
        (-10.962962962962962, 2.8791323520759746e-28),
        (-10.161125, 1.4782257507931113e-24),
        (-9.39937037037037, 2.7445274213510334e-21),
        (-8.676671296296297, 2.0376037781605613e-18),
        (-7.991999999999999, 6.638351944590392e-16),
        (-7.344328703703706, 1.033971724099601e-13),
        (-6.732629629629629, 8.33119110076205e-12),
        (-6.155875000000002, 3.733204914445926e-10),
        (-5.613037037037037, 9.94030129673606e-09),
        (-5.303300858899107, 5.686362828489827e-08),
        (-5.103087962962964, 1.6707779322194987e-07),
        (-4.625, 1.8729920055567095e-06),
        (-4.177745370370371, 1.4720649079571483e-05),
        (-3.7602962962962962, 8.485611194768795e-05),
        (-3.3716250000000008, 0.0003736305985212429),
        (-3.010703703703704, 0.001303215266859447),
        (-2.6765046296296298, 0.003719726897781625),
        (-2.3680000000000003, 0.00894226795037045),
        (-2.0841620370370375, 0.018572715313554693),
        (-1.8239629629629626, 0.034078835857001534),
        (-1.5863749999999999, 0.056327134032950595),
        (-1.4142135623730951, 0.07864960352514255),
        (-1.3703703703703702, 0.08528565819208063),
        (-1.1749212962962963, 0.1200131023096149),
        (-1.0, 0.15865525393145705),
        (-0.9989999999999999, 0.1588973456413183),
        (-0.8415787037037036, 0.2000119069569531),
        (-0.7016296296296296, 0.24145508431367071),
        (-0.578125, 0.28158986481263076),
        (-0.5, 0.3085375387259869),
        (-0.47003703703703703, 0.31916427833011213),
        (-0.376337962962963, 0.35333282992557086),
        (-0.29600000000000004, 0.3836150406980987),
        (-0.22799537037037032, 0.40982491982937935),
        (-0.17129629629629628, 0.4319953962757832),
        (-0.12487499999999999, 0.4503112552671886),
        (-0.0877037037037037, 0.4650560879200211),
        (-0.05875462962962963, 0.47657377315119587),
        (-0.037000000000000005, 0.48524250287087534),
        (-0.021412037037037035, 0.49145848580031487),
        (-0.010962962962962963, 0.4956264981617959),
        (-0.004625000000000001, 0.49815489853112466),
        (-0.0013703703703703703, 0.4994533014905588),
        (-0.0001712962962962963, 0.49993166266526545),
        (-1e-10, 0.49999999996010575),
        (-1e-300, 0.5),
        (0.0, 0.5),
        (1e-10, 0.5000000000398942),
        (4.1666666666666665e-05, 0.5000166225950119),
        (0.0003333333333333333, 0.5001329807576712),
        (0.0011250000000000001, 0.5004488099707808),
        (0.0026666666666666666, 0.5010638448202173),
        (0.005208333333333333, 0.5020778149830301),
        (0.009000000000000001, 0.5035904320527147),
        (0.014291666666666668, 0.5057013560047661),
        (0.021333333333333333, 0.5085101231350689),
        (0.030374999999999996, 0.5121160086182566),
        (0.041666666666666664, 0.5166177864903634),
        (0.05545833333333332, 0.5221133379910817),
        (0.07200000000000001, 0.5286990460736316),
        (0.09154166666666667, 0.5364689000058678),
        (0.11433333333333334, 0.5455132202176011),
        (0.140625, 0.5559169013259735),
        (0.17066666666666666, 0.5677570628109961),
        (0.2047083333333333, 0.5810999953849809),
        (0.24299999999999997, 0.5959973012743479),
        (0.2857916666666666, 0.6124811544546067),
        (0.3333333333333333, 0.6305586598182363),
        (0.3858749999999999, 0.6502053767374886),
        (0.44366666666666654, 0.6713582007311549),
        (0.5, 0.6914624612740131),
        (0.5069583333333335, 0.6939079727830578),
        (0.5760000000000001, 0.7176924092034545),
        (0.6510416666666667, 0.742490204804929),
        (0.7323333333333334, 0.7680174306713449),
        (0.820125, 0.7939275741329535),
        (0.9146666666666667, 0.8198166756917383),
        (1.0, 0.8413447460685429),
        (1.0162083333333334, 0.8452349055426548),
        (1.125, 0.8697054828631912),
        (1.241291666666667, 0.8927509889814843),
        (1.3653333333333333, 0.9139258465896848),
        (1.4973750000000001, 0.9328521452118584),
        (1.6376666666666664, 0.9492543761364205),
        (1.7864583333333335, 0.9629874610615499),
        (1.9439999999999997, 0.9740522744502403),
        (2.110541666666667, 0.982594136919885),
        (2.286333333333333, 0.9888826173882084),
        (2.4716250000000004, 0.993274973962409),
        (2.6666666666666665, 0.9961696194324102),
        (2.8717083333333338, 0.9979587021005357),
        (3.0869999999999993, 0.9989890620164715),
        (3.312791666666667, 0.9995381512122502),
        (3.5493333333333323, 0.9998068960704344),
        (3.796875, 0.9999267341849399),
        (4.055666666666668, 0.9999750042446873),
        (4.325958333333333, 0.9999924064934733),
        (4.6080000000000005, 0.9999979671966824),
        (4.902041666666666, 0.9999995257714396),
        (5.208333333333334, 0.9999999047278029),
        (5.303300858899107, 0.9999999431363717),
        (5.527125, 0.9999999837239482),
        (5.858666666666667, 0.9999999976670091),
        (6.2032083333333325, 0.9999999997233824),
        (6.561, 0.9999999999732759),
        (6.932291666666666, 0.9999999999979297),
        (7.317333333333334, 0.9999999999998735),
        (7.716374999999998, 0.999999999999994),
        (8.129666666666667, 0.9999999999999998),
        (8.557458333333331, 1.0),
        (9.0, 1.0),
    ];

    /// Error of `found` in units in the last place of `exact`, at most.
    fn ulps<E: Real>(found: E, exact: f64) -> f64 {
        (found.to_f64() - exact).abs() / (exact.abs().max(f64::MIN_POSITIVE) * E::EPSILON / 2.0)
    }

    /// Points in `E` from -`size` to `size`, dense near zero.
    fn points<E: Real>(size: f64) -> impl Iterator<Item = E> {
        (0..40_001).map(move |i| {
            let u = f64::from(i) / 20_000.0 - 1.0;
            E::from_f64(size * u * u * u)
        })
    }

    /// The largest error over all points, whose exact values are normal numbers.
    fn worst<E: Real>(size: f64, found: impl Fn(E) -> E, exact: impl Fn(f64) -> f64) -> f64 {
        points::<E>(size)
            .map(|x| ulps(found(x), exact(x.to_f64())))
            .fold(0.0, f64::max)
    }

    fn check_elementary<S: Simd, E: Real>(size: f64) {
        let errors = [
            worst::<E>(1.0, |u| log_one_plus::<S, E>(u.abs()), |u| u.abs().ln_1p()),
            worst::<E>(size, softplus::<S, E>, |x| {
                x.max(0.0) + (-x.abs()).exp().ln_1p()
            }),
            worst::<E>(size, elu::<S, E>, |x| if x < 0.0 { x.exp_m1() } else { x }),
            worst::<E>(size, silu::<S, E>, |x| x / (1.0 + (-x).exp())),
        ];
        println!("ulps of log_one_plus, softplus, elu, silu: {errors:.2?}");
        for (error, bound) in errors.into_iter().zip([5.0, 8.0, 5.0, 8.0]) {
            assert!(error <= bound, "{errors:?}");
        }
        // A sum that cancels at -1.28: its error counts in units of 1.
        let derivative = points::<E>(size).map(|x| {
            let s = 1.0 / (1.0 + (-x.to_f64()).exp());
            let rest = 1.0 / (1.0 + x.to_f64().exp());
            let exact = s * (1.0 + x.to_f64() * rest);
            (silu_derivative::<S, E>(x).to_f64() - exact).abs() / E::EPSILON
        });
        let derivative = derivative.fold(0.0, f64::max);
        assert!(derivative <= 8.0, "{derivative}");
    }

    #[test]
    fn softplus_elu_and_silu_stay_within_their_bounds() {
        check_elementary::<Fused, f32>(80.0);
        check_elementary::<Scalar, f32>(80.0);
        check_elementary::<Fused, f64>(700.0);
        check_elementary::<Scalar, f64>(700.0);
    }

    #[test]
    fn gelu_in_f64_is_that_of_sixty_digits() {
        fn check<S: Simd>() {
            let (mut value, mut derivative) = (0.0_f64, 0.0_f64);
            for &(x, below) in NORMAL {
                value = value.max(ulps(gelu::<S, f64>(x), x * below));
                let exact = below + x * (-0.5 * x * x).exp() / core::f64::consts::TAU.sqrt();
                let error = (gelu_derivative::<S, f64>(x) - exact).abs() / f64::EPSILON;
                derivative = derivative.max(error);
            }
            println!("f64: gelu {value:.2} ulp, its derivative {derivative:.2} ulp of 1");
            assert!(value <= 16.0 && derivative <= 8.0);
        }
        assert!(NORMAL.len() > 100);
        check::<Fused>();
        check::<Scalar>();
    }

    #[test]
    fn gelu_in_f32_is_that_of_f64() {
        fn check<S: Simd>() {
            let exact = |x| gelu::<Fused, f64>(x);
            let value = worst::<f32>(12.5, gelu::<S, f32>, exact);
            let derivative = points::<f32>(12.5).map(|x| {
                let exact = gelu_derivative::<Fused, f64>(x.into());
                (gelu_derivative::<S, f32>(x).to_f64() - exact).abs() / f64::from(f32::EPSILON)
            });
            let derivative = derivative.fold(0.0, f64::max);
            println!("f32: gelu {value:.2} ulp, its derivative {derivative:.2} ulp of 1");
            assert!(value <= 16.0 && derivative <= 8.0);
        }
        check::<Fused>();
        check::<Scalar>();
    }

    #[test]
    fn the_normal_distribution_is_symmetric() {
        let (below, density) = normal::<Fused, f64>(0.0);
        assert!((below - 0.5).abs() <= 2e-16);
        assert!((density - 1.0 / core::f64::consts::TAU.sqrt()).abs() <= 1e-16);
        for x in points::<f64>(8.0) {
            let ((left, a), (right, b)) = (normal::<Fused, _>(x), normal::<Fused, _>(-x));
            assert!((left + right - 1.0).abs() <= 3e-16 && a == b);
        }
    }

    #[test]
    fn limits_zeros_and_nan_are_kept() {
        fn check<S: Simd, E: Real>() {
            let at = E::from_f64;
            for x in [1e3, 1e30, 3e38, f64::INFINITY] {
                for f in [softplus::<S, E>, elu::<S, E>, silu::<S, E>, gelu::<S, E>] {
                    assert_eq!(f(at(x)), at(x));
                }
                assert_eq!(elu::<S, E>(-at(x)), -E::ONE);
                for f in [softplus::<S, E>, silu::<S, E>, gelu::<S, E>] {
                    assert_eq!(f(-at(x)), E::default());
                }
                for f in [silu_derivative::<S, E>, gelu_derivative::<S, E>] {
                    assert_eq!(f(at(x)), E::ONE);
                    assert_eq!(f(-at(x)), E::default());
                }
            }
            for f in [elu::<S, E>, silu::<S, E>, gelu::<S, E>] {
                for zero in [0.0, -0.0] {
                    assert_eq!(f(at(zero)).to_f64().to_bits(), zero.to_bits());
                }
            }
            assert!((softplus::<S, E>(at(0.0)).to_f64() - 2.0_f64.ln()).abs() <= E::EPSILON);
            for f in [silu_derivative::<S, E>, gelu_derivative::<S, E>] {
                assert!((f(at(0.0)).to_f64() - 0.5).abs() <= E::EPSILON);
            }
            for f in [
                softplus::<S, E>,
                elu::<S, E>,
                silu::<S, E>,
                gelu::<S, E>,
                silu_derivative::<S, E>,
                gelu_derivative::<S, E>,
            ] {
                assert!(f(at(f64::NAN)).to_f64().is_nan());
            }
        }
        check::<Fused, f32>();
        check::<Scalar, f32>();
        check::<Fused, f64>();
        check::<Scalar, f64>();
    }
}
