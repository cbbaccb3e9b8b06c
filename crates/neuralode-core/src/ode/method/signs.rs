//! The weights of the cheap sign, and the error of a step of a linear field.

use crate::ode::method::ButcherTableau;

/// Most stages of a method with a sign of its own.
const STAGES: usize = 17;

/// What the cheap sign of a method needs. Computed while the library compiles, with each tableau.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The weights `w_i` of the stages, the last of which has none; all zero in a method without.
    pub weights: [f64; STAGES],
    /// Absolute coefficients of `z, z^2, ..` in the error of a step of a linear field.
    pub linear: [f64; STAGES],
    /// Whether there are weights.
    weighs: bool,
    /// The same for points inside of steps.
    inside: [f64; STAGES],
    stages: usize,
}

impl Signs {
    /// What stands in a tableau until its signs are computed.
    pub(crate) const NONE: Self = Self {
        weights: [0.0; STAGES],
        linear: [0.0; STAGES],
        weighs: false,
        inside: [0.0; STAGES],
        stages: 0,
    };

    /// Those of a method.
    pub(crate) const fn of<const S: usize>(tableau: &ButcherTableau<S>) -> Self {
        assert!(S <= STAGES, "no method has more stages");
        let (a, b) = (&tableau.a, &tableau.b);
        let dense = tableau.dense.as_flattened();
        let error = error_weights(b, &tableau.b_err);
        let points = [
            inside_error(b, &error, dense, 0.25),
            inside_error(b, &error, dense, 0.5),
            inside_error(b, &error, dense, 0.75),
        ];
        let mut signs = Self {
            stages: S,
            ..Self::NONE
        };
        // Powers of the matrix on a vector of ones, from one side.
        let mut ones = [1.0; STAGES];
        let mut coefficients = [0.0; STAGES];
        let mut k = 0;
        while k < S {
            coefficients[k] = dot(&error, &ones, S);
            signs.linear[k] = coefficients[k].abs();
            let mut point = 0;
            while point < points.len() {
                signs.inside[k] = signs.inside[k].max(dot(&points[point], &ones, S).abs());
                point += 1;
            }
            let before = ones;
            let mut i = 0;
            while i < S {
                ones[i] = 0.0;
                let mut j = 0;
                while j < i {
                    ones[i] += a[i][j] * before[j];
                    j += 1;
                }
                i += 1;
            }
            k += 1;
        }
        signs.weights = weights(a, b, &coefficients, tableau.order + 1);
        let mut i = 0;
        while i < S {
            signs.weighs |= signs.weights[i].abs() > 1e-12;
            i += 1;
        }
        signs
    }

    /// Whether there are weights.
    pub const fn weighs(&self) -> bool {
        self.weighs
    }

    /// The error of a step of a linear field whose Jacobian times the step's size is `z`, with or without points
    /// inside.
    pub(crate) fn at(&self, z: f64, inside: bool) -> f64 {
        let mut sum = 0.0;
        for k in (0..self.stages).rev() {
            let coefficient = if inside {
                self.linear[k] + self.inside[k]
            } else {
                self.linear[k]
            };
            sum = z * (coefficient + sum);
        }
        sum
    }
}

/// Weights `w` of all stages but the last with `w . (A^T)^k b = coefficients[k]` for every `k` below `powers`. Of all
/// such weights these have the smallest norm. The vectors `(A^T)^k b` are made orthogonal, one after the other.
const fn weights<const S: usize>(
    a: &[[f64; S]; S],
    b: &[f64; S],
    coefficients: &[f64; STAGES],
    powers: usize,
) -> [f64; STAGES] {
    let mut weights = [0.0; STAGES];
    let mut basis = [[0.0; STAGES]; STAGES];
    let mut power = [0.0; STAGES];
    let mut i = 0;
    while i < S {
        power[i] = b[i];
        i += 1;
    }
    let mut k = 0;
    while k < S && k < powers {
        let mut row = power;
        row[S - 1] = 0.0;
        let size = dot(&row, &row, S);
        let mut left = coefficients[k] - dot(&row, &weights, S);
        // Twice, for the sake of rounding.
        let mut axis = 0;
        while axis < 2 * k {
            let basis = &basis[axis % k];
            let along = dot(&row, basis, S) / dot(basis, basis, S);
            subtract(along, basis, &mut row);
            axis += 1;
        }
        let rest = dot(&row, &row, S);
        if rest <= 1e-20 * size || rest == 0.0 {
            break;
        }
        left /= rest;
        subtract(-left, &row, &mut weights);
        basis[k] = row;
        let before = power;
        let mut j = 0;
        while j < S {
            power[j] = 0.0;
            let mut i = j + 1;
            while i < S {
                power[j] += a[i][j] * before[i];
                i += 1;
            }
            j += 1;
        }
        k += 1;
    }
    weights
}

/// The weights `e_i` of the error of a step. A method without an estimate gets the difference of two late stages, which
/// is one order lower than the method.
const fn error_weights(b: &[f64], b_err: &[f64]) -> [f64; STAGES] {
    let mut weights = [0.0; STAGES];
    let mut estimates = false;
    let mut i = 0;
    while i < b_err.len() {
        weights[i] = b_err[i];
        estimates |= b_err[i] != 0.0;
        i += 1;
    }
    if !estimates {
        let last = b.len() - 1;
        let mut i = last;
        while i > 0 {
            i -= 1;
            if b[i] != 0.0 {
                let weight = b[i].min(0.5);
                (weights[i], weights[last]) = (-weight, weight);
                break;
            }
        }
    }
    weights
}

/// Weights whose combination of the stages estimates the interpolant's error at `theta`: its difference from the cubic
/// through both ends, and the step's own error in proportion.
const fn inside_error(
    b: &[f64],
    error: &[f64; STAGES],
    dense: &[f64],
    theta: f64,
) -> [f64; STAGES] {
    let mut weights = [0.0; STAGES];
    let stages = b.len();
    let mut row = dense.len() / stages;
    while row > 0 {
        row -= 1;
        let mut i = 0;
        while i < stages {
            weights[i] = theta * (weights[i] + dense[row * stages + i]);
            i += 1;
        }
    }
    let (square, cube) = (theta * theta, theta * theta * theta);
    let mut i = 0;
    while i < stages {
        weights[i] += theta * error[i] - (3.0 * square - 2.0 * cube) * b[i];
        i += 1;
    }
    weights[0] -= theta - 2.0 * square + cube;
    weights[stages - 1] -= cube - square;
    weights
}

/// The product of the first `count` numbers.
const fn dot(a: &[f64; STAGES], b: &[f64; STAGES], count: usize) -> f64 {
    let mut sum = 0.0;
    let mut i = 0;
    while i < count {
        sum += a[i] * b[i];
        i += 1;
    }
    sum
}

const fn subtract(factor: f64, x: &[f64; STAGES], from: &mut [f64; STAGES]) {
    let mut i = 0;
    while i < STAGES {
        from[i] -= factor * x[i];
        i += 1;
    }
}

#[cfg(test)]
#[allow(
    clippy::needless_range_loop,
    reason = "sums over triangular matrices are formulas in indices"
)]
mod tests {
    use crate::ode::{
        choices::Solver,
        method::{ButcherTableau, WithTableau},
    };

    use super::{Signs, STAGES};

    /// The coefficients of `z, z^2, ..` that weights of the stages have in a step of `y' = z y`, on the way back
    /// through the stages, and those of the error estimate forwards.
    struct Coefficients;

    impl WithTableau for Coefficients {
        type Output = (&'static str, usize, Signs, Vec<f64>, Vec<f64>);

        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
            let signs = tableau.signs;
            let mut power = tableau.b;
            let mut backward = Vec::new();
            for _ in 0..S {
                let weights = signs.weights.iter().zip(&power);
                backward.push(weights.map(|(w, x)| w * x).sum());
                let before = power;
                for j in 0..S {
                    power[j] = (0..S).map(|i| tableau.a[i][j] * before[i]).sum();
                }
            }
            let error = super::error_weights(&tableau.b, &tableau.b_err);
            let mut ones = [1.0; S];
            let mut forward = Vec::new();
            for _ in 0..S {
                let weights = error.iter().zip(&ones);
                forward.push(weights.map(|(w, x)| w * x).sum());
                let before = ones;
                for i in 0..S {
                    ones[i] = (0..S).map(|j| tableau.a[i][j] * before[j]).sum();
                }
            }
            (tableau.name, tableau.order, signs, backward, forward)
        }
    }

    #[test]
    fn signs_are_the_error_of_a_step_of_a_linear_field_up_to_the_power_after_the_order() {
        for solver in Solver::ALL {
            let (name, order, signs, backward, forward) = solver.with_tableau(Coefficients);
            println!(
                "{name}: {:?}\n  {backward:?}\n  {forward:?}",
                &signs.weights
            );
            let largest = signs.weights.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
            assert!(largest < 30.0, "{name}: {largest}");
            let known = (order + 1).min(forward.len() - 1);
            for k in 0..known {
                let difference = (backward[k] - forward[k]).abs();
                assert!(difference < 1e-9, "{name}, power {}: {difference:e}", k + 1);
            }
            assert!(signs.weighs() || name == "Euler", "{name}");
            assert!(forward.len() <= STAGES);
        }
    }

    #[test]
    fn a_long_step_of_a_stable_field_has_a_large_error() {
        for solver in Solver::ALL {
            let (name, _, signs, ..) = solver.with_tableau(Coefficients);
            assert!(
                signs.at(8.0, false) > 0.3,
                "{name}: {}",
                signs.at(8.0, false)
            );
            assert!(signs.at(1e-3, true) < 1e-3, "{name}");
            assert!(signs.at(2.0, true) >= signs.at(2.0, false), "{name}");
        }
    }
}
