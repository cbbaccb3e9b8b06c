//! The explicit midpoint method.

use crate::ode::method::{hermite, lower, signs::Signs, ButcherTableau};

/// The explicit midpoint method, of order 2, with Euler's as the embedded one: two evaluations per step.
///
/// The third stage, at the new state, is the next step's first. The interpolant is the cubic through both ends
/// of a step, of order 2 like the method.
///
/// # Sources
/// C. Runge, "Ueber die numerische Aufloesung von Differentialgleichungen", Math. Ann. 46 (1895) 167-178,
/// doi:10.1007/BF01446807.
pub const MIDPOINT: ButcherTableau<3> = ButcherTableau {
    name: "Midpoint",
    order: 2,
    dense_order: 2,
    evaluations: 2,
    c: [0.0, 0.5, 1.0],
    a: lower([&[], &[0.5], &B]),
    b: B,
    b_err: [-1.0, 1.0, 0.0],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 3] = [0.0, 1.0, 0.0];
const DENSE: [[f64; 3]; 3] = hermite(&B);

const _: () = MIDPOINT.assert_consistent();
const _: () = assert!(MIDPOINT.fsal(), "Midpoint reuses its last stage");
