//! What a solve cost.

use core::ops::{Add, AddAssign};

use crate::ode::state::larger;

/// Work done by one or several solves, and how far the gradient can be trusted; stable from run to run, so tests can
/// hold it.
///
/// For a forward solve with an explicit Runge-Kutta method of `s` stages that reuses its last stage,
/// `field_calls = 2 + (s - 1) * (accepted + rejected)`: one call for the first stage, one for the
/// rule of the initial step (absent with a constant step size).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Evaluations of the vector field `f(t, y)` on its own: in forward solves, and where an adjoint solves `y` again.
    pub field_calls: usize,
    /// Steps whose error passed the test, forward and backward.
    pub accepted: usize,
    /// Steps that were tried again with a smaller size, forward and backward.
    pub rejected: usize,
    /// Vector-Jacobian products of the field. Each computes `(df/dy)^T c` and `(df/dtheta)^T c` together.
    pub vjps: usize,
    /// Jacobian-vector products of the field, in solves with tangents. Each computes
    /// `(df/dy) y_dot + (df/dtheta) theta_dot` for one direction.
    pub jvps: usize,
    /// An estimate of the relative error that the solver's steps cause in the gradient
    /// ([`crate::ode::adjoint::gradient_error`]); 0 where no gradient was computed, NaN where its error is not known,
    /// as with methods without an error estimate in a continuous adjoint. NaN is never refused. Sums of statistics take
    /// the largest one.
    pub gradient_error: f64,
}

impl Stats {
    /// Those of no solve.
    pub const NONE: Self = Self {
        field_calls: 0,
        accepted: 0,
        rejected: 0,
        vjps: 0,
        jvps: 0,
        gradient_error: 0.0,
    };
}

impl AddAssign for Stats {
    fn add_assign(&mut self, other: Self) {
        self.field_calls += other.field_calls;
        self.accepted += other.accepted;
        self.rejected += other.rejected;
        self.vjps += other.vjps;
        self.jvps += other.jvps;
        self.gradient_error = larger(self.gradient_error, other.gradient_error);
    }
}

impl Add for Stats {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}
