//! The method of Tsitouras.

#![allow(
    clippy::excessive_precision,
    reason = "coefficients stand as published"
)]

use crate::ode::method::{signs::Signs, ButcherTableau};

/// Runge-Kutta pair of order 5(4) with seven stages, the last of which is the next step's first, and a
/// free continuously differentiable interpolant of order 4.
///
/// The fifth-order weights are propagated. The error weights have `+1/66` at the end: the first table of
/// the paper prints that sign wrongly.
///
/// # Sources
/// Ch. Tsitouras, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying
/// assumption", Comput. Math. Appl. 62 (2011) 770-775, doi:10.1016/j.camwa.2011.06.002. The interpolant
/// is the one of the author's companion notes.
pub const TSIT5: ButcherTableau<7> = ButcherTableau {
    name: "Tsit5",
    order: 5,
    dense_order: 4,
    evaluations: 6,
    c: [0.0, 0.161, 0.327, 0.9, 0.980_025_540_904_509_7, 1.0, 1.0],
    a: [
        [0.0; 7],
        [0.161, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [
            -0.008_480_655_492_356_989,
            0.335_480_655_492_357,
            0.0,
            0.0,
            0.0,
            0.0,
            0.0,
        ],
        [
            2.897_153_057_105_493_5,
            -6.359_448_489_975_075,
            4.362_295_432_869_581_5,
            0.0,
            0.0,
            0.0,
            0.0,
        ],
        [
            5.325_864_828_439_257,
            -11.748_883_564_062_828,
            7.495_539_342_889_836_5,
            -0.092_495_066_361_755_25,
            0.0,
            0.0,
            0.0,
        ],
        [
            5.861_455_442_946_42,
            -12.920_969_317_847_11,
            8.159_367_898_576_159,
            -0.071_584_973_281_401,
            -0.028_269_050_394_068_383,
            0.0,
            0.0,
        ],
        B,
    ],
    b: B,
    b_err: [
        -0.001_780_011_052_225_771_4,
        -0.000_816_434_459_656_746_91,
        0.007_880_878_010_261_995_3,
        -0.144_711_007_173_262_91,
        0.582_357_165_452_555_23,
        -0.458_082_105_929_186_97,
        1.0 / 66.0,
    ],
    dense: &[
        [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [
            -2.763_706_197_274_826,
            0.131_7,
            3.930_296_236_894_751_6,
            -12.411_077_166_933_676,
            37.509_313_416_511_04,
            -27.896_526_289_197_286,
            1.5,
        ],
        [
            2.913_255_461_821_912_6,
            -0.223_4,
            -5.941_033_872_131_505,
            30.338_188_630_282_32,
            -88.178_904_894_766_4,
            65.091_894_674_793_66,
            -4.0,
        ],
        [
            -1.053_088_497_729_021_6,
            0.101_7,
            2.490_627_285_651_253,
            -16.548_102_889_244_902,
            47.379_521_962_819_28,
            -34.870_657_861_496_61,
            2.5,
        ],
    ],
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 7] = [
    0.096_460_766_818_065_23,
    0.01,
    0.479_889_650_414_499_6,
    1.379_008_574_103_742,
    -3.290_069_515_436_081,
    2.324_710_524_099_774,
    0.0,
];

const _: () = TSIT5.assert_consistent();
const _: () = assert!(TSIT5.fsal(), "Tsit5 reuses its last stage");
