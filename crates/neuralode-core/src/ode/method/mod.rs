//! Butcher tableaux as constant data, checked by the compiler.
//!
//! Every tableau ends in the stage `f(t + h, y1)`, whether its author counts it or not: the loop takes it for
//! the next step's first, and interpolants for the derivative at the end of the step. A method without it has
//! one stage more here, and as many evaluations per step as before.
//!
//! | method | order | evaluations per step | interpolant | error estimate |
//! |---|---|---|---|---|
//! | [`EULER`] | 1 | 1 | order 1, Hermite | none |
//! | [`MIDPOINT`], [`HEUN`], [`RALSTON`] | 2 | 2 | order 2, Hermite | Euler |
//! | [`BOSH3`] | 3 | 3 | order 3, Hermite | order 2 |
//! | [`RK4`] | 4 | 4 | order 3, Hermite | none |
//! | [`DOPRI5`], [`TSIT5`] | 5 | 6 | order 4, their own | order 4 |
//! | [`VERN7`] | 7 | 10 | order 5, of this library | order 6 |
//! | [`DOPRI8`] | 8 | 13 | order 5, Bogacki and Shampine | order 7 |

use crate::ode::{choices::Solver, method::signs::Signs};

mod bosh3;
mod dopri5;
mod dopri8;
mod euler;
mod heun;
mod midpoint;
mod padded;
mod ralston;
mod rk4;
pub mod signs;
mod tsit5;
mod vern7;
mod view;

pub use bosh3::BOSH3;
pub use dopri5::DOPRI5;
pub use dopri8::DOPRI8;
pub use euler::EULER;
pub use heun::HEUN;
pub use midpoint::MIDPOINT;
pub use ralston::RALSTON;
pub use rk4::RK4;
pub use tsit5::TSIT5;
pub use vern7::VERN7;
#[doc(hidden)]
pub use view::TableauView;

/// An explicit Runge-Kutta pair with `S` stages and a polynomial interpolant.
///
/// With step size `h` and stages `k_i = f(t + c_i h, y + h sum_j a_ij k_j)`:
/// `y1 = y + h sum_i b_i k_i`, the error estimate is `h sum_i b_err_i k_i`, and inside the step
/// `y(t + theta h) = y + h sum_i b_i(theta) k_i` with `b_i(theta) = sum_m dense[m][i] theta^(m + 1)`.
#[derive(Clone, Copy, Debug)]
pub struct ButcherTableau<const S: usize> {
    /// Name of the method.
    pub name: &'static str,
    /// Order of the propagated solution. The error estimate of a step is that of the embedded solution, of one
    /// order less, and so of the size `h^order`: controllers and the rule of the first step work with this
    /// number, as those of diffrax do.
    pub order: usize,
    /// Order of the interpolant.
    pub dense_order: usize,
    /// Evaluations of the field per step: one per stage but the first. `S - 1`, unless the method was made up to
    /// `S` stages ([`ButcherTableau::has_stage`]).
    pub evaluations: usize,
    /// Nodes.
    pub c: [f64; S],
    /// Stage weights; the entries on and above the diagonal are zero.
    pub a: [[f64; S]; S],
    /// Weights of the propagated solution.
    pub b: [f64; S],
    /// Weights of the error estimate: the propagated weights less the embedded ones, up to sign. All zero in a
    /// method without an estimate.
    pub b_err: [f64; S],
    /// Coefficients of the interpolant, by ascending power of `theta` from 1.
    pub dense: &'static [[f64; S]],
    /// What tells cheaply that a gradient over these steps may be wrong; follows from the rest.
    pub signs: Signs,
}

impl<const S: usize> ButcherTableau<S> {
    /// The same with its signs.
    const fn with_signs(mut self) -> Self {
        self.signs = Signs::of(&self);
        self
    }

    /// Whether the method estimates its error, which adaptive step sizes need.
    pub const fn adaptive(&self) -> bool {
        let mut i = 0;
        while i < S {
            if self.b_err[i] != 0.0 {
                return true;
            }
            i += 1;
        }
        false
    }

    /// Whether the method has a stage of this index. A method made up to more stages than it has keeps its last
    /// one at the end; those before it that it lacks have no weight anywhere, are not computed, and their states
    /// mean nothing.
    #[inline]
    pub const fn has_stage(&self, index: usize) -> bool {
        index < self.evaluations || index + 1 == S
    }

    /// Whether the last stage is evaluated at the new state and so is the next step's first stage.
    #[allow(clippy::float_cmp, reason = "the same constants, not results")]
    pub const fn fsal(&self) -> bool {
        let mut i = 0;
        while i < S {
            if self.a[S - 1][i] != self.b[i] {
                return false;
            }
            i += 1;
        }
        self.c[S - 1] == 1.0
    }

    /// Fails to compile (in a `const`) where a coefficient was copied wrongly: the method is explicit, rows sum
    /// to nodes, the three sets of weights integrate powers of `t` as their orders promise, and the interpolant
    /// joins the step's ends with the derivatives there. The other order conditions are for tests: there are
    /// hundreds.
    #[allow(clippy::cast_precision_loss, reason = "orders are small")]
    pub(crate) const fn assert_consistent(&self) {
        const TOLERANCE: f64 = 1e-14;
        assert!(self.c[0] == 0.0, "the first node is 0");
        assert!(
            0 < self.evaluations && self.evaluations < S,
            "one evaluation per stage but the first"
        );
        let mut i = 0;
        while i < S {
            assert!(
                self.has_stage(i) || self.is_unused(i),
                "stages that a method lacks have no weight"
            );
            let mut row = 0.0;
            let mut j = 0;
            while j < S {
                assert!(
                    j < i || self.a[i][j] == 0.0,
                    "an explicit method has a strictly lower triangular matrix"
                );
                row += self.a[i][j];
                j += 1;
            }
            assert!(
                close(row, self.c[i], TOLERANCE * 10.0),
                "a row sums to its node"
            );
            let (mut end, mut slope) = (0.0, 0.0);
            let mut m = 0;
            while m < self.dense.len() {
                end += self.dense[m][i];
                slope += self.dense[m][i] * (m + 1) as f64;
                m += 1;
            }
            assert!(
                close(end, self.b[i], TOLERANCE * 10.0),
                "the interpolant ends in the weights"
            );
            assert!(
                close(self.dense[0][i], if i == 0 { 1.0 } else { 0.0 }, TOLERANCE),
                "the interpolant starts along the first stage"
            );
            assert!(
                close(slope, if i + 1 == S { 1.0 } else { 0.0 }, TOLERANCE * 100.0),
                "the interpolant ends along the last stage"
            );
            i += 1;
        }
        let mut power = 0;
        while power < self.order {
            let exact = 1.0 / (power + 1) as f64;
            assert!(
                close(self.moment(&self.b, power), exact, TOLERANCE * 10.0),
                "the weights integrate powers below the order"
            );
            assert!(
                power + 1 == self.order || close(self.moment(&self.b_err, power), 0.0, TOLERANCE),
                "the error weights integrate powers below the embedded order to zero"
            );
            let mut m = 0;
            while m < self.dense.len() && power < self.dense_order {
                assert!(
                    close(
                        self.moment(&self.dense[m], power),
                        if m == power { exact } else { 0.0 },
                        TOLERANCE * 10.0
                    ),
                    "the interpolant integrates powers below its order, up to every point"
                );
                m += 1;
            }
            power += 1;
        }
    }

    /// Whether stage `i` has no weight anywhere.
    const fn is_unused(&self, i: usize) -> bool {
        let mut unused = self.b[i] == 0.0 && self.b_err[i] == 0.0;
        let mut j = 0;
        while j < S {
            unused = unused && self.a[j][i] == 0.0 && self.a[i][j] == 0.0;
            j += 1;
        }
        let mut m = 0;
        while m < self.dense.len() {
            unused = unused && self.dense[m][i] == 0.0;
            m += 1;
        }
        unused
    }

    /// `sum_i weights_i c_i^power`
    const fn moment(&self, weights: &[f64; S], power: usize) -> f64 {
        let mut sum = 0.0;
        let mut i = 0;
        while i < S {
            let mut term = weights[i];
            let mut p = 0;
            while p < power {
                term *= self.c[i];
                p += 1;
            }
            sum += term;
            i += 1;
        }
        sum
    }

    /// The weights `b_i(theta)` of the interpolant.
    #[inline]
    pub fn dense_weights(&self, theta: f64) -> [f64; S] {
        let mut weights = [0.0; S];
        view::interpolate(self.dense.as_flattened(), theta, &mut weights);
        weights
    }

    /// The weights `b_i'(theta)` of the interpolant's derivative: `dy/dt = sum_i b_i'(theta) k_i`.
    pub fn dense_derivative_weights(&self, theta: f64) -> [f64; S] {
        let mut weights = [0.0; S];
        view::differentiate(self.dense.as_flattened(), theta, &mut weights);
        weights
    }
}

/// What to do with the tableau of a method that is known at run time: a function that is generic over the number
/// of stages.
pub trait WithTableau {
    /// What it returns.
    type Output;

    /// Receives the tableau.
    fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output;
}

impl Solver {
    /// Hands the tableau of this method to `with`. The function is compiled once for every number of stages.
    pub fn with_tableau<W: WithTableau>(self, with: W) -> W::Output {
        match self {
            Self::Euler => with.run(&EULER),
            Self::Midpoint => with.run(&MIDPOINT),
            Self::Heun => with.run(&HEUN),
            Self::Ralston => with.run(&RALSTON),
            Self::Bosh3 => with.run(&BOSH3),
            Self::Rk4 => with.run(&RK4),
            Self::Dopri5 => with.run(&DOPRI5),
            Self::Tsit5 => with.run(&TSIT5),
            Self::Vern7 => with.run(&VERN7),
            Self::Dopri8 => with.run(&DOPRI8),
        }
    }

    /// Name of the method, as the macro spells it.
    pub fn name(self) -> &'static str {
        struct Name;
        impl WithTableau for Name {
            type Output = &'static str;
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> &'static str {
                tableau.name
            }
        }
        self.with_tableau(Name)
    }

    /// Order of the propagated solution.
    pub fn order(self) -> usize {
        struct Order;
        impl WithTableau for Order {
            type Output = usize;
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> usize {
                tableau.order
            }
        }
        self.with_tableau(Order)
    }

    /// Whether the method estimates its error; if not, it takes steps of a given size only
    /// ([`crate::ode::choices::Controller::Constant`]).
    pub fn adaptive(self) -> bool {
        struct Adaptive;
        impl WithTableau for Adaptive {
            type Output = bool;
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> bool {
                tableau.adaptive()
            }
        }
        self.with_tableau(Adaptive)
    }
}

/// A strictly lower triangular matrix from what stands below its diagonal; shorter rows end in zeros.
const fn lower<const S: usize>(rows: [&[f64]; S]) -> [[f64; S]; S] {
    let mut a = [[0.0; S]; S];
    let mut i = 0;
    while i < S {
        let mut j = 0;
        while j < rows[i].len() {
            a[i][j] = rows[i][j];
            j += 1;
        }
        i += 1;
    }
    a
}

/// The interpolant with the values and derivatives of both ends of a step whose weights are `b`: the cubic of
/// Hermite, of the method's order but at most 3.
const fn hermite<const S: usize>(b: &[f64; S]) -> [[f64; S]; 3] {
    continuous(b, &[])
}

/// All interpolants with the values and derivatives of both ends of a step: the cubic of Hermite, plus
/// `theta^2 (1 - theta)^2` times the polynomial with the rows of `inner` as coefficients, by ascending power of
/// `theta` from 0. `D` is the number of these rows and 3.
const fn continuous<const S: usize, const D: usize>(
    b: &[f64; S],
    inner: &[[f64; S]],
) -> [[f64; S]; D] {
    assert!(D == inner.len() + 3, "one power of theta per row");
    let mut dense = [[0.0; S]; D];
    dense[0][0] = 1.0;
    let mut i = 0;
    while i < S {
        dense[1][i] = 3.0 * b[i];
        dense[2][i] = -2.0 * b[i];
        i += 1;
    }
    dense[1][0] -= 2.0;
    dense[2][0] += 1.0;
    dense[1][S - 1] -= 1.0;
    dense[2][S - 1] += 1.0;
    let mut m = 0;
    while m < inner.len() {
        let mut i = 0;
        while i < S {
            dense[m + 1][i] += inner[m][i];
            dense[m + 2][i] -= 2.0 * inner[m][i];
            dense[m + 3][i] += inner[m][i];
            i += 1;
        }
        m += 1;
    }
    dense
}

const fn close(a: f64, b: f64, tolerance: f64) -> bool {
    let difference = a - b;
    difference < tolerance && -difference < tolerance
}
