//! The classical method of order 4.

use crate::ode::method::{hermite, lower, signs::Signs, ButcherTableau};

/// The classical Runge-Kutta method of order 4: four evaluations per step. It has no error estimate, so its
/// steps are of a given size ([`crate::ode::choices::Controller::Constant`]).
///
/// The fifth stage, at the new state, is the next step's first. The interpolant is the cubic through both ends
/// of a step, of order 3.
///
/// # Sources
/// W. Kutta, "Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen", Z. Math. Phys. 46
/// (1901) 435-453; E. Hairer, S. P. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", 2nd ed.,
/// Springer 1993, section II.1, doi:10.1007/978-3-540-78862-1.
pub const RK4: ButcherTableau<5> = ButcherTableau {
    name: "Rk4",
    order: 4,
    dense_order: 3,
    evaluations: 4,
    c: [0.0, 0.5, 0.5, 1.0, 1.0],
    a: lower([&[], &[0.5], &[0.0, 0.5], &[0.0, 0.0, 1.0], &B]),
    b: B,
    b_err: [0.0; 5],
    dense: &DENSE,
    signs: Signs::NONE,
}
.with_signs();

const B: [f64; 5] = [1.0 / 6.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 6.0, 0.0];
const DENSE: [[f64; 5]; 3] = hermite(&B);

const _: () = RK4.assert_consistent();
const _: () = assert!(RK4.fsal(), "Rk4 reuses its last stage");
