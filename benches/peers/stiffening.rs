//! The Van der Pol oscillator at mu = 5 in f32: 512 samples with spread starts, with one step size for all and with one
//! for each.

use neuralode::{
    engine::{solve_per_sample, Tiles},
    ode::{method::TSIT5, solve::record},
    FnField, SolveOptions,
};

use crate::{
    measure::{time, Facts, Results},
    numpy::Rng,
    support::relative_error,
    Outcome,
};

const BATCH: usize = 512;
const TOLERANCE: f64 = 1e-5;

pub(crate) fn run(case: &str, results: &mut Results) -> Outcome {
    let draws = Rng::new(2).uniforms(-3.0, 3.0, 2 * BATCH);
    #[allow(clippy::cast_possible_truncation, reason = "the draws are f32 already")]
    let singles: Vec<f32> = draws.iter().map(|y| *y as f32).collect();

    let options = SolveOptions::new(0.0, 10.0, 1e-11, 1e-11).with_max_steps(1 << 14);
    let field = |_: f64, y: &[f64; 2]| [y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]];
    let mut engine = FnField::new(field).batch_of::<16>();
    let exact = record(
        &mut engine,
        &TSIT5,
        Tiles::from_flat(2, &draws).unwrap(),
        &options,
        &mut (),
    )?;
    let exact = exact.y.to_rows();

    let options = SolveOptions::new(0.0, 10.0, TOLERANCE, TOLERANCE).with_max_steps(1 << 14);
    let field = |_: f64, y: &[f32; 2]| [y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]];
    let mut engine = FnField::new(field).batch_of::<128>();
    let (timing, solution) = time(
        10,
        || (),
        |()| {
            record(
                &mut engine,
                &TSIT5,
                Tiles::from_flat(2, &singles).unwrap(),
                &options,
                &mut (),
            )
        },
    )?;
    let found: Vec<f64> = solution.y.to_rows().into_iter().map(f64::from).collect();
    let facts = Facts {
        steps: Some(solution.accepted + solution.rejected),
        loss: None,
        error: Some(relative_error(&found, &exact)),
    };
    results.add(&format!("{case}/whole_batch"), timing, facts);

    let engine = FnField::new(field).batch_of::<64>();
    let (timing, solution) = time(
        100,
        || (),
        |()| solve_per_sample(&engine, &TSIT5, &singles, &[options.t1], &options),
    )?;
    let found: Vec<f64> = solution.values.iter().copied().map(f64::from).collect();
    let steps = solution.stats.iter().map(|s| s.accepted + s.rejected);
    let (least, most) = (steps.clone().min(), steps.clone().max());
    let sum: usize = steps.sum();
    let facts = Facts {
        steps: most,
        loss: None,
        error: Some(relative_error(&found, &exact)),
    };
    let name = format!("{case}/per_sample");
    results.add(&name, timing, facts);
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let mean = sum as f64 / BATCH as f64;
    println!(
        "{name}: {} to {} steps per sample, {mean:.1} in the mean",
        least.unwrap_or_default(),
        most.unwrap_or_default()
    );
    Ok(())
}
