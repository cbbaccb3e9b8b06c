//! The method of Heun of order 2.

use crate::ode::method::{hermite, lower, signs::Signs, ButcherTableau};

/// Heun's method of order 2 (the explicit trapezoidal rule), with Euler's as the embedded one: two evaluations
/// per step.
///
/// The third stage, at the new state, is the next step's first. The interpolant is the cubic through both ends
/// of a step, of order 2 like the method.
///
/// # Sources
/// K. Heun, "Neue Methoden zur approximativen Integration der Differentialgleichungen einer unabhaengigen
/// Veraenderlichen", Z. Math. Phys. 45 (1900) 23-38; E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary
/// Differential Equations I", 2nd ed., Springer 1993, section II.1, doi:10.1007/978-3-540-78862-1.
pub const HEUN: ButcherTableau<3> = ButcherTableau {
    name: "Heun",
    order: 2,
    dense_order: 2,
    evaluations: 2,
    c: [0.0, 1.0, 1.0],
    a: lower([&[], &[1.0], &B]),
    b: B,
    b_err: [-0.5, 0.5, 0.0],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 3] = [0.5, 0.5, 0.0];
const DENSE: [[f64; 3]; 3] = hermite(&B);

const _: () = HEUN.assert_consistent();
const _: () = assert!(HEUN.fsal(), "Heun reuses its last stage");
