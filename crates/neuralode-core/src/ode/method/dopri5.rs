//! The pair of Dormand and Prince of order 5.

use crate::ode::method::{continuous, lower, signs::Signs, ButcherTableau};

/// Runge-Kutta pair of order 5(4) with seven stages, the last of which is the next step's first: six
/// evaluations per step. The method of MATLAB's `ode45` and of `RK45` in `SciPy`.
///
/// The fifth-order weights are propagated. The interpolant, free and continuously differentiable, is of
/// order 4.
///
/// # Sources
/// J. R. Dormand, P. J. Prince, "A family of embedded Runge-Kutta formulae", J. Comput. Appl. Math. 6 (1980)
/// 19-26, doi:10.1016/0771-050X(80)90013-3. The error weights are those of L. F. Shampine, "Some practical
/// Runge-Kutta formulas", Math. Comp. 46 (1986) 135-150, doi:10.1090/S0025-5718-1986-0815836-3, as in diffrax.
/// The interpolant is that of the code DOPRI5: E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary
/// Differential Equations I", 2nd ed., Springer 1993, section II.6, doi:10.1007/978-3-540-78862-1.
pub const DOPRI5: ButcherTableau<7> = ButcherTableau {
    name: "Dopri5",
    order: 5,
    dense_order: 4,
    evaluations: 6,
    c: [0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0],
    a: lower([
        &[],
        &[1.0 / 5.0],
        &[3.0 / 40.0, 9.0 / 40.0],
        &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
        &[
            19_372.0 / 6_561.0,
            -25_360.0 / 2_187.0,
            64_448.0 / 6_561.0,
            -212.0 / 729.0,
        ],
        &[
            9_017.0 / 3_168.0,
            -355.0 / 33.0,
            46_732.0 / 5_247.0,
            49.0 / 176.0,
            -5_103.0 / 18_656.0,
        ],
        &B,
    ]),
    b: B,
    b_err: [
        35.0 / 384.0 - 1_951.0 / 21_600.0,
        0.0,
        500.0 / 1_113.0 - 22_642.0 / 50_085.0,
        125.0 / 192.0 - 451.0 / 720.0,
        -2_187.0 / 6_784.0 + 12_231.0 / 42_400.0,
        11.0 / 84.0 - 649.0 / 6_300.0,
        -1.0 / 60.0,
    ],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 7] = [
    35.0 / 384.0,
    0.0,
    500.0 / 1_113.0,
    125.0 / 192.0,
    -2_187.0 / 6_784.0,
    11.0 / 84.0,
    0.0,
];

const DENSE: [[f64; 7]; 4] = continuous(
    &B,
    &[[
        -12_715_105_075.0 / 11_282_082_432.0,
        0.0,
        87_487_479_700.0 / 32_700_410_799.0,
        -10_690_763_975.0 / 1_880_347_072.0,
        701_980_252_875.0 / 199_316_789_632.0,
        -1_453_857_185.0 / 822_651_844.0,
        69_997_945.0 / 29_380_423.0,
    ]],
);

const _: () = DOPRI5.assert_consistent();
const _: () = assert!(DOPRI5.fsal(), "Dopri5 reuses its last stage");
