//! The Lorenz system in f64, beside other solvers written in Rust.

use std::error::Error;

use diffsol::{NalgebraMat, OdeBuilder, OdeSolverMethod, OdeSolverStopReason};
use neuralode::{
    ode::{method::TSIT5, solve::record},
    FnField, SolveOptions,
};
use ode_solvers::{dop_shared::OutputType, Dopri5, System, Vector3};

use crate::{
    measure::{time, Facts, Results},
    Outcome,
};

const TOLERANCE: f64 = 1e-8;
const START: [f64; 3] = [1.0, 0.0, 0.0];
/// Beyond it the system has amplified every rounding error to its own size.
const HORIZON: f64 = 10.0;
const END: f64 = 100.0;
const REPETITIONS: usize = 10;

fn field(y: &[f64; 3]) -> [f64; 3] {
    [
        10.0 * (y[1] - y[0]),
        y[0] * (28.0 - y[2]) - y[1],
        y[0] * y[1] - 8.0 / 3.0 * y[2],
    ]
}

/// The same with products and sums in one operation each, as compilers of array programs write it; `FnField` runs
/// closures under instructions that have it.
fn fused_field([x, y, z]: &[f64; 3]) -> [f64; 3] {
    [
        10.0 * (y - x),
        x.mul_add(28.0 - z, -y),
        x.mul_add(*y, -8.0 / 3.0 * z),
    ]
}

type Solved = Result<([f64; 3], usize), Box<dyn Error>>;

/// Solves to `t1` and returns the state there with the number of steps.
fn ours(t1: f64, tolerance: f64) -> Solved {
    let options = SolveOptions::new(0.0, t1, tolerance, tolerance).with_max_steps(1 << 20);
    let mut field = FnField::new(|_, y| field(y));
    let solution = record(&mut field, &TSIT5, START, &options, &mut ())?;
    Ok((solution.y, solution.accepted + solution.rejected))
}

fn ours_fused(t1: f64, tolerance: f64) -> Solved {
    let options = SolveOptions::new(0.0, t1, tolerance, tolerance).with_max_steps(1 << 20);
    let mut field = FnField::new(|_, y| fused_field(y));
    let solution = record(&mut field, &TSIT5, START, &options, &mut ())?;
    Ok((solution.y, solution.accepted + solution.rejected))
}

struct Lorenz;

impl System<f64, Vector3<f64>> for Lorenz {
    fn system(&self, _: f64, y: &Vector3<f64>, dy: &mut Vector3<f64>) {
        *dy = Vector3::from(field(&[y[0], y[1], y[2]]));
    }
}

fn by_ode_solvers(t1: f64, tolerance: f64) -> Solved {
    let mut stepper = Dopri5::new(
        Lorenz,
        0.0,
        t1,
        t1,
        Vector3::from(START),
        tolerance,
        tolerance,
    );
    stepper.set_output(OutputType::Sparse);
    let stats = stepper.integrate()?;
    let y = stepper.y_out().last().ok_or("no result")?;
    let steps = stats.accepted_steps + stats.rejected_steps;
    Ok(([y[0], y[1], y[2]], usize::try_from(steps)?))
}

fn by_diffsol(t1: f64, tolerance: f64) -> Solved {
    let problem = OdeBuilder::<NalgebraMat<f64>>::new()
        .rtol(tolerance)
        .atol([tolerance])
        .rhs(|y, _, _, dy| dy.copy_from_slice(&field(&[y[0], y[1], y[2]])))
        .init(|_, _, y| y.copy_from_slice(&START), 3)
        .build()?;
    let mut solver = problem.tsit45()?;
    solver.set_stop_time(t1)?;
    while solver.step()? != OdeSolverStopReason::TstopReached {}
    let statistics = solver.get_statistics();
    let steps = statistics.number_of_steps + statistics.number_of_error_test_failures;
    let y = solver.state().y;
    Ok(([y[0], y[1], y[2]], steps))
}

pub(crate) fn run(case: &str, results: &mut Results) -> Outcome {
    let (exact, _) = ours(HORIZON, 1e-13)?;
    let measure = |solve: fn(f64, f64) -> Solved| {
        let (timing, (_, steps)) = time(REPETITIONS, || (), |()| solve(END, TOLERANCE))?;
        let (y, _) = solve(HORIZON, TOLERANCE)?;
        let error = y
            .iter()
            .zip(exact)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        let facts = Facts {
            steps: Some(steps),
            loss: None,
            error: Some(error),
        };
        Ok::<_, Box<dyn Error>>((timing, facts))
    };
    let (timing, facts) = measure(ours)?;
    results.add(case, timing, facts);
    let (timing, facts) = measure(ours_fused)?;
    results.add_peer(&format!("{case}/mul_add"), timing, facts);
    let (timing, facts) = measure(by_ode_solvers)?;
    results.add_peer(&format!("{case}/ode_solvers"), timing, facts);
    let (timing, facts) = measure(by_diffsol)?;
    results.add_peer(&format!("{case}/diffsol"), timing, facts);
    println!("    the errors are those at t = {HORIZON}, the times and steps those to t = {END}");
    Ok(())
}
