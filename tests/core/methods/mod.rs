//! Every method of the library: its tableau against the order conditions, its measured orders, its control.

mod order;
mod runs;

use neuralode_core::{
    ode::{
        method::{ButcherTableau, WithTableau, TSIT5},
        options::Tolerances,
        solve::{record, Solved},
        stepper::ExplicitRk,
        trajectory::Trajectory,
    },
    Controller, FnField, SolveError, SolveOptions, Solver,
};

/// Solves with a method known at run time, for one system in an array.
struct Run<'o, F, const N: usize> {
    f: F,
    y0: [f64; N],
    options: &'o SolveOptions,
}

impl<F: Fn(f64, &[f64; N]) -> [f64; N], const N: usize> WithTableau for Run<'_, F, N> {
    type Output = Result<Solved<[f64; N]>, SolveError>;
    fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Self::Output {
        let mut field = FnField::new(self.f);
        record(&mut field, tableau, self.y0, self.options, &mut ())
    }
}

fn run<const N: usize>(
    f: impl Fn(f64, &[f64; N]) -> [f64; N],
    y0: [f64; N],
    options: &SolveOptions,
) -> Result<Solved<[f64; N]>, SolveError> {
    options.solver.with_tableau(Run { f, y0, options })
}

/// Slope of log(error) over log(h) by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(h, e)| (h.ln(), e.ln())).collect();
    let n = logs.len() as f64;
    let mean_x = logs.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = logs.iter().map(|p| p.1).sum::<f64>() / n;
    let covariance: f64 = logs.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let variance: f64 = logs.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    covariance / variance
}

/// A rotation whose speed depends on the radius and on time: `y = r (cos a, sin a)` with
/// `a = r^2 (t + sin(t) / 2)` from `(r, 0)`.
fn rotation(t: f64, [x, y]: &[f64; 2]) -> [f64; 2] {
    let w = (x * x + y * y) * (1.0 + 0.5 * t.cos());
    [-w * y, w * x]
}

fn rotated(r: f64, t: f64) -> [f64; 2] {
    let angle = r * r * (t + 0.5 * t.sin());
    [r * angle.cos(), r * angle.sin()]
}

fn distance([a, b]: [f64; 2], [c, d]: [f64; 2]) -> f64 {
    (a - c).hypot(b - d)
}

/// Errors at the end of `0..end` after `2, 3, 4, 6` times `steps` equal steps, with the steps' sizes.
fn errors_of_equal_steps(
    solver: Solver,
    f: impl Fn(f64, &[f64; 2]) -> [f64; 2] + Copy,
    (start, exact): ([f64; 2], [f64; 2]),
    (end, steps): (f64, u32),
) -> Vec<(f64, f64)> {
    let error = |factor| {
        let steps = steps * factor;
        let dt = end / f64::from(steps);
        let options = SolveOptions::new(0.0, end, 1e-6, 1e-6)
            .with_solver(solver)
            .with_controller(Controller::Constant { dt })
            .with_max_steps(1_000_000);
        let solution = run(f, start, &options).unwrap();
        assert_eq!((solution.accepted, solution.rejected), (steps as usize, 0));
        (dt, distance(solution.y, exact))
    };
    [2, 3, 4, 6].map(error).to_vec()
}
