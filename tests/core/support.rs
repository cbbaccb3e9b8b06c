//! What several files share: fields by hand, solves of closures, finite differences.

use neuralode_core::{
    engine::{solve_per_sample, PerSample},
    ode::{
        field::{Differentiable, VectorField},
        method::TSIT5,
        Failure, SaveAt, Solution, Solve,
    },
    Adjoint, Controller, FnField, SolveError, SolveOptions,
};

/// Every adjoint; the budget of the last one is far from enough to keep the steps of a tight solve.
pub const ADJOINTS: [Adjoint; 6] = [
    Adjoint::Discrete,
    Adjoint::Interpolating,
    Adjoint::Gauss,
    Adjoint::Quadrature,
    Adjoint::Backsolve,
    Adjoint::Checkpointed { bytes: 100_000 },
];

/// The largest difference, relative to the largest number of `expected`.
pub fn relative_error(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let scale = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        // `max` would drop a NaN.
        .fold(0.0, |m: f64, e| if e <= m { m } else { e });
    worst / scale.max(f64::MIN_POSITIVE)
}

/// A field of `N` numbers with `P` parameters: `f(t, y, p)`, and its products with a cotangent by `y` and by `p`.
#[derive(Clone, Copy)]
pub struct Field<const N: usize, const P: usize> {
    pub parameters: [f64; P],
    pub f: fn(f64, &[f64; N], &[f64; P]) -> [f64; N],
    pub products: fn(f64, &[f64; N], &[f64; P], &[f64; N]) -> ([f64; N], [f64; P]),
}

impl<const N: usize, const P: usize> VectorField for Field<N, P> {
    type State = [f64; N];

    fn eval(&mut self, t: f64, y: &[f64; N], dy: &mut [f64; N]) -> Result<(), SolveError> {
        *dy = (self.f)(t, y, &self.parameters);
        Ok(())
    }
}

impl<const N: usize, const P: usize> Differentiable for Field<N, P> {
    type Params = [f64; P];

    fn zero_params(&mut self) -> Result<[f64; P], SolveError> {
        Ok([0.0; P])
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &[f64; N],
        c: &[f64; N],
        y_bar: &mut [f64; N],
        theta_bar: &mut [f64; P],
    ) -> Result<(), SolveError> {
        (*y_bar, *theta_bar) = (self.products)(t, y, &self.parameters, c);
        Ok(())
    }
}

/// Central differences, extrapolated once: the error is of fourth order in the shift.
pub fn derivative(loss: impl Fn(f64) -> f64) -> f64 {
    let central = |d: f64| (loss(d) - loss(-d)) / (2.0 * d);
    let d = 1e-3;
    (4.0 * central(d / 2.0) - central(d)) / 3.0
}

/// The state of one number.
pub type One = [f64; 1];

/// Tight tolerances, and more steps than a test needs.
pub fn options(t0: f64, t1: f64) -> SolveOptions {
    SolveOptions::new(t0, t1, 1e-8, 1e-8).with_max_steps(100_000)
}

/// Steps of equal size.
pub fn equal(t0: f64, t1: f64, dt: f64) -> SolveOptions {
    options(t0, t1).with_controller(Controller::Constant { dt })
}

/// A solve of a closure that saves every step and its dense output.
pub fn run(
    f: impl Fn(f64, &One) -> One,
    y0: One,
    options: &SolveOptions,
) -> Result<Solution<One>, Failure<One>> {
    let save = SaveAt::end().with_every_step().with_dense();
    Solve::new(&mut FnField::new(f), y0, options)
        .save_at(save)
        .run()
}

/// The same in a lane, its value at the end.
pub fn lane(
    f: impl Fn(f64, &One) -> One + Sync,
    y0: One,
    options: &SolveOptions,
) -> Result<PerSample<f64>, SolveError> {
    let engine = FnField::new(f).batch_of::<16>();
    solve_per_sample(&engine, &TSIT5, &y0, &[options.t1], options)
}
