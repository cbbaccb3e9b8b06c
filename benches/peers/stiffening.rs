//! The Van der Pol oscillator at mu = 5 in f32: 512 samples with spread starts and one step size.

use neuralode::SolveOptions;

use crate::{
    measure::{time, Facts, Results},
    numpy::Rng,
    plain,
    support::relative_error,
    Outcome,
};

const BATCH: usize = 512;
const TOLERANCE: f64 = 1e-5;

pub(crate) fn run(case: &str, results: &mut Results) -> Outcome {
    let draws = Rng::new(2).uniforms(-3.0, 3.0, 2 * BATCH);
    let doubles: [[f64; 2]; BATCH] = core::array::from_fn(|i| [draws[2 * i], draws[2 * i + 1]]);
    #[allow(clippy::cast_possible_truncation, reason = "the draws are f32 already")]
    let singles = doubles.map(|y| y.map(|y| y as f32));

    let options = SolveOptions::new(0.0, 10.0, 1e-11, 1e-11).with_max_steps(1 << 14);
    let field = |_: f64, y: &[f64; 2]| [y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]];
    let (exact, _) = plain::solve(field, doubles, &options)?;

    let options = SolveOptions::new(0.0, 10.0, TOLERANCE, TOLERANCE).with_max_steps(1 << 14);
    let field = |_: f64, y: &[f32; 2]| [y[1], 5.0 * (1.0 - y[0] * y[0]) * y[1] - y[0]];
    let (timing, (found, stats)) = time(10, || (), |()| plain::solve(field, singles, &options))?;
    let found: Vec<f64> = found.as_flattened().iter().map(|y| f64::from(*y)).collect();
    let facts = Facts {
        steps: Some(stats.accepted + stats.rejected),
        loss: None,
        error: Some(relative_error(&found, exact.as_flattened())),
    };
    results.add(&format!("{case}/whole_batch"), timing, facts);
    Ok(())
}
