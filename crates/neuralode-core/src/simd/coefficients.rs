//! The coefficients of the polynomials behind special functions, per dtype.

#![allow(clippy::excessive_precision, reason = "coefficients stand as computed")]

/// The numbers in which the functions of [`special`](super::special) differ between `f32` and `f64`.
///
/// Polynomials interpolate at Chebyshev's nodes, as computed with 50 digits; coefficients stand from the highest power
/// down. Their relative errors are at most 1.6e-17 in f64, and 2.7e-9 in f32.
pub trait Coefficients: Sized + 'static {
    /// `(artanh(s) / s - 1) / s^2` as a polynomial of `s^2`, for `0 <= s <= 1/3`.
    const ARTANH: &'static [Self];
    /// `(1 + 2 t) exp(t^2) erfc(t)` as a polynomial of `(t - c) / (t + c)`, for `0 <= t` up to where `erfc` underflows.
    const ERFCX: &'static [Self];
    /// The `c` of that.
    const CENTRE: f64;
    /// A number times this one, less their difference, keeps the upper half of its digits.
    const SPLIT: f64;
}

impl Coefficients for f32 {
    const ARTANH: &'static [Self] = &[
        0.116_121_646,
        0.108_532_879,
        0.142_961_79,
        0.199_998_532,
        0.333_333_337,
    ];
    const ERFCX: &'static [Self] = &[
        -0.000_279_211,
        -0.000_803_599_947,
        0.001_990_504_17,
        0.002_580_494_73,
        -0.023_787_994_4,
        0.068_293_840_5,
        -0.119_272_999,
        0.129_646_498,
        -0.047_562_264_1,
        -0.135_621_14,
        1.253_008_06,
    ];
    const CENTRE: f64 = 3.0;
    const SPLIT: f64 = 4097.0;
}

impl Coefficients for f64 {
    const ARTANH: &'static [Self] = &[
        0.080_820_228_059_717_661,
        0.044_003_692_430_723_369,
        0.060_005_364_047_953_563,
        0.066_570_721_048_274_681,
        0.076_927_850_324_793_116,
        0.090_908_947_180_664_291,
        0.111_111_113_587_139_31,
        0.142_857_142_835_543_79,
        0.200_000_000_000_072_91,
        0.333_333_333_333_333_29,
    ];
    const ERFCX: &'static [Self] = &[
        -2.430_136_420_019_815_6e-9,
        -9.349_035_348_745_455_2e-10,
        3.285_243_626_318_176e-8,
        1.614_258_618_601_950_4e-8,
        -2.525_302_326_683_084e-7,
        -4.831_288_366_164_190_6e-8,
        1.747_981_971_816_118_9e-6,
        -9.800_820_000_138_382_2e-7,
        -1.144_288_768_912_950_4e-5,
        2.238_723_511_826_870_7e-5,
        5.164_886_889_291_183_4e-5,
        -0.000_290_154_962_392_126_75,
        0.000_293_713_677_980_523_98,
        0.001_755_626_017_396_212_6,
        -0.009_746_579_555_277_400_3,
        0.028_362_277_400_346_207,
        -0.058_693_398_590_141_925,
        0.092_304_321_161_542_928,
        -0.108_803_930_141_720_1,
        0.082_276_738_490_111_576,
        0.003_585_415_485_463_918_9,
        -0.140_240_598_585_546_68,
        1.237_512_630_837_827_6,
    ];
    const CENTRE: f64 = 3.75;
    const SPLIT: f64 = 134_217_729.0;
}
