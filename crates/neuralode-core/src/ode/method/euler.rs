//! The method of Euler.

use crate::ode::method::{hermite, lower, signs::Signs, ButcherTableau};

/// Euler's method, of order 1: one evaluation per step. It has no error estimate, so its steps are of a given
/// size ([`crate::ode::choices::Controller::Constant`]); a residual network is one such step per layer.
///
/// The second stage is the next step's first. The interpolant is the cubic through both ends of a step, of
/// order 1 like the method.
///
/// # Sources
/// L. Euler, "Institutionum calculi integralis volumen primum", 1768, section 650; E. Hairer, S. P. Norsett,
/// G. Wanner, "Solving Ordinary Differential Equations I", 2nd ed., Springer 1993, section I.7,
/// doi:10.1007/978-3-540-78862-1.
pub const EULER: ButcherTableau<2> = ButcherTableau {
    name: "Euler",
    order: 1,
    dense_order: 1,
    evaluations: 1,
    c: [0.0, 1.0],
    a: lower([&[], &B]),
    b: B,
    b_err: [0.0; 2],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 2] = [1.0, 0.0];
const DENSE: [[f64; 2]; 3] = hermite(&B);

const _: () = EULER.assert_consistent();
const _: () = assert!(EULER.fsal(), "Euler reuses its last stage");
