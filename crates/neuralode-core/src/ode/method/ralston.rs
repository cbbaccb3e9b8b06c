//! The method of Ralston of order 2.

use crate::ode::method::{hermite, lower, signs::Signs, ButcherTableau};

/// Ralston's method of order 2, the one with the smallest bound of the local error, with Euler's as the embedded
/// one: two evaluations per step.
///
/// The third stage, at the new state, is the next step's first. The interpolant is the cubic through both ends
/// of a step, of order 2 like the method.
///
/// # Sources
/// A. Ralston, "Runge-Kutta methods with minimum error bounds", Math. Comp. 16 (1962) 431-437,
/// doi:10.1090/S0025-5718-1962-0150954-0.
pub const RALSTON: ButcherTableau<3> = ButcherTableau {
    name: "Ralston",
    order: 2,
    dense_order: 2,
    evaluations: 2,
    c: [0.0, 2.0 / 3.0, 1.0],
    a: lower([&[], &[2.0 / 3.0], &B]),
    b: B,
    b_err: [-0.75, 0.75, 0.0],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 3] = [0.25, 0.75, 0.0];
const DENSE: [[f64; 3]; 3] = hermite(&B);

const _: () = RALSTON.assert_consistent();
const _: () = assert!(RALSTON.fsal(), "Ralston reuses its last stage");
