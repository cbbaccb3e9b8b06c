//! The pair of Bogacki and Shampine of order 3.

use crate::ode::method::{hermite, lower, signs::Signs, ButcherTableau};

/// Runge-Kutta pair of order 3(2) with four stages, the last of which is the next step's first: three
/// evaluations per step. For loose tolerances (above about 1e-3).
///
/// The third-order weights are propagated. The interpolant is the cubic through both ends of a step, of order 3
/// like the method.
///
/// # Sources
/// P. Bogacki, L. F. Shampine, "A 3(2) pair of Runge-Kutta formulas", Appl. Math. Lett. 2 (1989) 321-325,
/// doi:10.1016/0893-9659(89)90079-7.
pub const BOSH3: ButcherTableau<4> = ButcherTableau {
    name: "Bosh3",
    order: 3,
    dense_order: 3,
    evaluations: 3,
    c: [0.0, 0.5, 0.75, 1.0],
    a: lower([&[], &[0.5], &[0.0, 0.75], &B]),
    b: B,
    b_err: [
        2.0 / 9.0 - 7.0 / 24.0,
        1.0 / 3.0 - 1.0 / 4.0,
        4.0 / 9.0 - 1.0 / 3.0,
        -1.0 / 8.0,
    ],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 4] = [2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0, 0.0];
const DENSE: [[f64; 4]; 3] = hermite(&B);

const _: () = BOSH3.assert_consistent();
const _: () = assert!(BOSH3.fsal(), "Bosh3 reuses its last stage");
