//! Butcher tableaux as constant data, checked by the compiler.

mod tsit5;

pub use tsit5::TSIT5;

/// An explicit Runge-Kutta pair with `S` stages and a polynomial interpolant.
///
/// With step size `h` and stages `k_i = f(t + c_i h, y + h sum_j a_ij k_j)`:
/// `y1 = y + h sum_i b_i k_i`, the error estimate is `h sum_i b_err_i k_i`, and inside the step
/// `y(t + theta h) = y + h sum_i b_i(theta) k_i` with `b_i(theta) = sum_m dense[m][i] theta^(m + 1)`.
#[derive(Clone, Copy, Debug)]
pub struct ButcherTableau<const S: usize> {
    /// Name of the method.
    pub name: &'static str,
    /// Order of the propagated solution.
    pub order: usize,
    /// Order of the interpolant.
    pub dense_order: usize,
    /// Nodes.
    pub c: [f64; S],
    /// Stage weights; the entries on and above the diagonal are zero.
    pub a: [[f64; S]; S],
    /// Weights of the propagated solution.
    pub b: [f64; S],
    /// Weights of the error estimate: the propagated weights less the embedded ones, up to sign.
    pub b_err: [f64; S],
    /// Coefficients of the interpolant, by ascending power of `theta` from 1.
    pub dense: &'static [[f64; S]],
}

impl<const S: usize> ButcherTableau<S> {
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

    /// Fails to compile (in a `const`) where a coefficient was copied wrongly: rows sum to nodes, weights
    /// to one, error weights to zero, the interpolant ends in the weights, and the method is explicit.
    pub(crate) const fn assert_consistent(&self) {
        const TOLERANCE: f64 = 1e-14;
        assert!(self.c[0] == 0.0, "the first node is 0");
        let (mut sum_b, mut sum_err) = (0.0, 0.0);
        let mut i = 0;
        while i < S {
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
            let mut end = 0.0;
            let mut m = 0;
            while m < self.dense.len() {
                end += self.dense[m][i];
                m += 1;
            }
            assert!(
                close(end, self.b[i], TOLERANCE * 10.0),
                "the interpolant ends in the weights"
            );
            sum_b += self.b[i];
            sum_err += self.b_err[i];
            i += 1;
        }
        assert!(close(sum_b, 1.0, TOLERANCE), "the weights sum to one");
        assert!(
            close(sum_err, 0.0, TOLERANCE),
            "the error weights sum to zero"
        );
    }

    /// The weights `b_i(theta)` of the interpolant.
    pub fn dense_weights(&self, theta: f64) -> [f64; S] {
        let mut weights = [0.0; S];
        for row in self.dense.iter().rev() {
            for (weight, coefficient) in weights.iter_mut().zip(row) {
                *weight = theta.mul_add(*weight, *coefficient);
            }
        }
        weights.map(|weight| weight * theta)
    }
}

const fn close(a: f64, b: f64, tolerance: f64) -> bool {
    let difference = a - b;
    difference < tolerance && -difference < tolerance
}
