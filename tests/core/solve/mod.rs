//! The plain solver: what it saves, where it stops, what its hooks see, and what a failing solve still gives.

mod output;
mod stops;

use std::{cell::RefCell, ops::ControlFlow};

use crate::support::{relative_error, Field, ADJOINTS};

use neuralode_core::{
    ode::{
        adjoint::{solve_keeping, Cotangent},
        error::Quantity,
        method::{ButcherTableau, DOPRI8, TSIT5},
        output::saved_points::solve_at,
        solve::record,
        trajectory::Trajectory,
        Ended, Failure, SaveAt, Solution, Solve, StepInfo,
    },
    Adjoint, Controller, FnField, SolveError, SolveOptions, Solver,
};

/// A rotation, whose solution from `[1, 0]` is `[cos t, sin t]`.
fn rotation(_: f64, y: &[f64; 2]) -> [f64; 2] {
    [-y[1], y[0]]
}

fn exact(t: f64) -> [f64; 2] {
    [t.cos(), t.sin()]
}

fn distance(a: &[f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).abs().max((a[1] - b[1]).abs())
}

fn rotate(
    options: &SolveOptions,
    set: impl for<'a> FnOnce(
        Solve<'a, FnField<fn(f64, &[f64; 2]) -> [f64; 2], f64, 2>>,
    ) -> Solve<'a, FnField<fn(f64, &[f64; 2]) -> [f64; 2], f64, 2>>,
) -> Result<Solution<[f64; 2]>, Failure<[f64; 2]>> {
    let f: fn(f64, &[f64; 2]) -> [f64; 2] = rotation;
    let mut field = FnField::new(f);
    set(Solve::new(&mut field, exact(options.t0), options)).run()
}

/// The ends of all steps of a plain solve, and its end state.
fn plain(options: &SolveOptions) -> (Vec<f64>, [f64; 2]) {
    let mut field = FnField::new(rotation);
    let mut trajectory = Trajectory::new(&TSIT5);
    let y0 = exact(options.t0);
    let solved = record(&mut field, &TSIT5, y0, options, &mut trajectory).unwrap();
    let starts = trajectory.steps().iter().skip(1).map(|step| step.t);
    (starts.chain([options.t1]).collect(), solved.y)
}

const SPANS: [(f64, f64); 2] = [(0.0, 5.0), (2.0, -1.5)];

/// `dy/dt = y^2` from 1: a pole at 1.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "what `FnField` calls")]
fn pole(_: f64, y: &[f64; 1]) -> [f64; 1] {
    [y[0] * y[0]]
}
