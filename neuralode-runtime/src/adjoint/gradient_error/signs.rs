//! The weights of the cheap sign, and the error of a step of a linear field.

use crate::tableau::{ButcherTableau, TableauView};

/// Most stages of a method with a sign of its own.
pub(super) const STAGES: usize = 17;

/// What the cheap sign of a method needs.
#[derive(Clone, Copy, Debug)]
pub struct Signs {
    /// The weights `w_i` of the stages, the last of which has none; all zero in a method without.
    pub weights: [f64; STAGES],
    /// Whether there are weights.
    pub(super) weighs: bool,
    /// Absolute coefficients of `z, z^2, ..` in the error of a step of a linear field.
    step: [f64; STAGES],
    /// The same for points inside of steps.
    inside: [f64; STAGES],
    stages: usize,
}

impl Signs {
    /// Those of a method. Costs about a thousand operations.
    pub fn of<const S: usize>(tableau: &ButcherTableau<S>) -> Self {
        let (a, dense) = (tableau.a.as_flattened(), tableau.dense.as_flattened());
        let error = error_weights(&tableau.b, &tableau.b_err);
        Self::from_parts(tableau.order, (a, &tableau.b), &error, dense)
    }

    /// Those of a method as slices.
    pub(crate) fn of_view(tableau: &TableauView) -> Self {
        let error = tableau.gradient_error_weights();
        let parts = (tableau.matrix(), tableau.b);
        Self::from_parts(tableau.order, parts, &error, tableau.dense)
    }

    /// Those of a method given by its matrix and its interpolant, row by row, and its weights.
    #[allow(
        clippy::needless_range_loop,
        reason = "sums over triangular matrices are formulas in indices"
    )]
    fn from_parts(order: usize, (a, b): (&[f64], &[f64]), error: &[f64], dense: &[f64]) -> Self {
        let stages = b.len().min(STAGES);
        let mut signs = Self {
            weights: [0.0; STAGES],
            weighs: false,
            step: [0.0; STAGES],
            inside: [0.0; STAGES],
            stages,
        };
        if b.len() > STAGES {
            return signs;
        }
        let at = |i: usize, j: usize| a[i * stages + j];
        // Powers of the matrix on a vector of ones, from one side.
        let mut ones = [1.0; STAGES];
        let mut coefficients = [0.0; STAGES];
        let points = [0.25, 0.5, 0.75].map(|theta| inside_error(b, error, dense, theta));
        for k in 0..stages {
            let sum = |weights: &[f64]| -> f64 { (0..stages).map(|i| weights[i] * ones[i]).sum() };
            coefficients[k] = sum(error);
            signs.step[k] = coefficients[k].abs();
            signs.inside[k] = points
                .iter()
                .map(|point| sum(point).abs())
                .fold(0.0, f64::max);
            let before = ones;
            for i in 0..stages {
                ones[i] = (0..i).map(|j| at(i, j) * before[j]).sum();
            }
        }
        // From the other side: the powers of the transposed matrix on `b`, made orthonormal one after the other. The
        // weights are the shortest ones whose products with the powers are the coefficients.
        let mut power = [0.0; STAGES];
        power[..stages].copy_from_slice(b);
        let mut basis = [[0.0; STAGES]; STAGES];
        let mut shares = [0.0; STAGES];
        let mut count = 0;
        for k in 0..stages.min(order + 1) {
            let mut row = power;
            row[stages - 1] = 0.0;
            let size = dot(&row, &row).sqrt();
            let mut left = coefficients[k];
            for _ in 0..2 {
                for (axis, share) in basis[..count].iter().zip(&shares) {
                    let along = dot(&row, axis);
                    left -= along * share;
                    for (x, axis) in row.iter_mut().zip(axis) {
                        *x -= along * axis;
                    }
                }
            }
            let rest = dot(&row, &row).sqrt();
            if rest <= 1e-10 * size || rest == 0.0 {
                break;
            }
            basis[count] = row.map(|x| x / rest);
            shares[count] = left / rest;
            count += 1;
            let before = power;
            for j in 0..stages {
                power[j] = (j + 1..stages).map(|i| at(i, j) * before[i]).sum();
            }
        }
        for (axis, share) in basis[..count].iter().zip(&shares) {
            for (weight, axis) in signs.weights.iter_mut().zip(axis) {
                *weight += share * axis;
            }
        }
        signs.weighs = signs.weights.iter().any(|weight| weight.abs() > 1e-12);
        signs
    }

    /// The error of a step of a linear field whose Jacobian times the step's size is `z`, with or without points inside.
    pub(super) fn at(&self, z: f64, inside: bool) -> f64 {
        let mut sum = 0.0;
        for k in (0..self.stages).rev() {
            let coefficient = if inside {
                self.step[k] + self.inside[k]
            } else {
                self.step[k]
            };
            sum = z * (coefficient + sum);
        }
        sum
    }
}

/// Weights whose combination of the stages estimates the error of a step's derivative: those of the step's own error, or
/// in a method without an estimate a difference of its last stages at the end of the step, which is one order lower than
/// the method.
fn error_weights(b: &[f64], b_err: &[f64]) -> [f64; STAGES] {
    let mut weights = [0.0; STAGES];
    for (weight, error) in weights.iter_mut().zip(b_err) {
        *weight = *error;
    }
    let last = b.len().min(STAGES).saturating_sub(1);
    if b_err.iter().all(|error| *error == 0.0) {
        if let Some(i) = (0..last).rev().find(|i| b[*i] != 0.0) {
            let weight = b[i].min(0.5);
            (weights[i], weights[last]) = (-weight, weight);
        }
    }
    weights
}

impl TableauView {
    /// See [`error_weights`].
    pub(super) fn gradient_error_weights(&self) -> [f64; STAGES] {
        error_weights(self.b, self.b_err)
    }
}

fn dot(a: &[f64; STAGES], b: &[f64; STAGES]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Weights whose combination of the stages estimates the interpolant's error at `theta`: its difference from the cubic
/// through both ends, and the step's own error in proportion.
pub(super) fn inside_error(b: &[f64], error: &[f64], dense: &[f64], theta: f64) -> [f64; STAGES] {
    let stages = b.len().min(STAGES);
    let mut weights = [0.0; STAGES];
    for row in dense.rchunks_exact(stages) {
        for (weight, coefficient) in weights.iter_mut().zip(row) {
            *weight = theta * (*weight + coefficient);
        }
    }
    let (square, cube) = (theta * theta, theta * theta * theta);
    for i in 0..stages {
        weights[i] += theta * error[i] - (3.0 * square - 2.0 * cube) * b[i];
    }
    weights[0] -= theta - 2.0 * square + cube;
    weights[stages - 1] -= cube - square;
    weights
}

#[cfg(test)]
#[allow(
    clippy::needless_range_loop,
    reason = "sums over triangular matrices are formulas in indices"
)]
mod tests {
    use crate::{
        options::Solver,
        tableau::{ButcherTableau, WithTableau},
    };

    use super::{Signs, STAGES};

    /// The coefficients of `z, z^2, ..` that weights of the stages have in a step of `y' = z y`, on the way back through
    /// the stages, and those of the error estimate forwards.
    struct Coefficients;

    impl WithTableau for Coefficients {
        type Output = (&'static str, usize, Signs, Vec<f64>, Vec<f64>);

        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
            let signs = Signs::of(tableau);
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
            assert!(signs.weighs || name == "Euler", "{name}");
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
