//! The method of Verner of order 7.

use crate::ode::method::{continuous, lower, signs::Signs, ButcherTableau};

/// Runge-Kutta pair of order 7(6): the "most efficient" one of Verner, ten stages and one more that is the next
/// step's first, so ten evaluations per step. Tight tolerances at a lower price per step than
/// [`crate::ode::method::DOPRI8`].
///
/// The seventh-order weights are propagated; the tenth stage serves the error estimate alone.
///
/// The published interpolant of order 7 needs six more evaluations per step. The one here needs none and is of
/// order 5, the highest that these stages allow; it is continuously differentiable. Among the interpolants of
/// this kind it has the least coefficients of the error of order 6, and of these the least weights; no paper has
/// it. `scripts/vern7_interpolant.py` derives it.
///
/// # Sources
/// J. H. Verner, "Numerically optimal Runge-Kutta pairs with interpolants", Numer. Algorithms 53 (2010) 383-396,
/// doi:10.1007/s11075-009-9290-3; the coefficients are those of the author's pages, as in OrdinaryDiffEq.jl,
/// rounded to f64 from exact fractions.
pub const VERN7: ButcherTableau<11> = ButcherTableau {
    name: "Vern7",
    order: 7,
    dense_order: 5,
    evaluations: 10,
    c: [
        0.0,
        0.005,
        0.108_888_888_888_888_88,
        0.163_333_333_333_333_33,
        0.455_5,
        0.609_509_448_997_838_1,
        0.884,
        0.925,
        1.0,
        1.0,
        1.0,
    ],
    a: lower([
        &[],
        &[0.005],
        &[-1.076_790_123_456_79, 1.185_679_012_345_679],
        &[0.040_833_333_333_333_33, 0.0, 0.122_5],
        &[
            0.638_913_923_625_572_6,
            0.0,
            -2.455_672_638_223_657,
            2.272_258_714_598_084,
        ],
        &[
            -2.661_577_375_018_757_2,
            0.0,
            10.804_513_886_456_137,
            -8.353_914_657_396_2,
            0.820_487_594_956_657,
        ],
        &[
            6.067_741_434_696_771,
            0.0,
            -24.711_273_635_911_084,
            20.427_517_930_788_895,
            -1.906_157_978_816_647_2,
            1.006_172_249_242_068,
        ],
        &[
            12.054_670_076_253_203,
            0.0,
            -49.754_784_950_468_99,
            41.142_888_638_604_674,
            -4.461_760_149_974_004,
            2.042_334_822_239_175,
            -0.098_348_436_654_061_08,
        ],
        &[
            10.138_146_522_881_808,
            0.0,
            -42.641_136_031_717_5,
            35.763_840_039_922_57,
            -4.348_022_840_392_907_5,
            2.009_862_268_377_035_7,
            0.348_749_046_033_827_2,
            -0.271_439_005_104_831_27,
        ],
        &[
            -45.030_072_034_298_676,
            0.0,
            187.327_243_765_458_9,
            -154.028_823_693_501_86,
            18.564_653_063_475_36,
            -7.141_809_679_295_079,
            1.308_808_578_161_378_5,
            0.0,
            0.0,
        ],
        &B,
    ]),
    b: B,
    b_err: [
        0.002_547_011_879_931_045_6,
        0.0,
        0.0,
        -0.009_658_394_872_795_75,
        0.042_064_709_756_396_9,
        -0.066_682_243_746_930_1,
        0.265_009_746_462_128_16,
        -0.294_303_117_140_325_03,
        0.081_317_472_324_951_1,
        -0.020_295_184_663_356_284,
        0.0,
    ],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 11] = [
    0.047_155_618_486_272_22,
    0.0,
    0.0,
    0.257_505_642_984_341_53,
    0.262_166_539_774_126_2,
    0.152_160_926_567_385_58,
    0.493_996_917_003_248_44,
    -0.294_303_117_140_325_03,
    0.081_317_472_324_951_1,
    0.0,
    0.0,
];

const DENSE: [[f64; 11]; 6] = continuous(
    &B,
    &[
        [
            -3.342_026_720_226_514,
            0.0,
            0.0,
            6.145_539_967_931_743,
            -2.859_592_593_422_609,
            -0.778_720_034_097_774_7,
            0.426_925_408_908_420_07,
            0.158_212_203_557_137_22,
            0.935_064_944_373_120_5,
            0.314_596_822_976_476_95,
            -1.0,
        ],
        [
            3.144_960_618_179_865_3,
            0.0,
            0.0,
            -7.288_526_522_614_561,
            7.470_931_400_593_256,
            -1.264_052_932_844_662_8,
            -3.901_838_701_417_957_6,
            -2.248_020_794_779_779,
            -1.610_640_654_053_528_7,
            -1.302_812_413_062_632_8,
            7.0,
        ],
        [
            0.060_160_640_851_151_04,
            0.0,
            0.0,
            -0.186_619_616_304_292_08,
            0.489_369_059_540_176_73,
            -0.505_518_137_733_140_2,
            0.094_834_228_168_023_87,
            0.212_208_056_195_426_9,
            -0.219_122_824_102_969_13,
            0.054_688_593_385_622_916,
            0.0,
        ],
    ],
);

const _: () = VERN7.assert_consistent();
const _: () = assert!(VERN7.fsal(), "Vern7 reuses its last stage");
