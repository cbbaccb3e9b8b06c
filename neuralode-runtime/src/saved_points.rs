//! Values of a solution at given times, taken from the dense output while the solve runs.

use crate::{
    error::SolveError, options::SolveOptions, solve::solve, state::State, stats::Stats,
    step::weighted, step::Step, tableau::ButcherTableau, trajectory::Recorder,
    vector_field::VectorField,
};

/// Solves like [`solve`] and returns the solution at `times`, with what the solve cost.
///
/// The steps are those of a solve without `times`: inside a step the interpolant gives the value, to
/// [`ButcherTableau::dense_order`], for one linear combination of `S` stages. The value at `t0` is `y0` and the
/// one at `t1` the end of the last step, bit for bit. `recorder` receives every accepted step.
///
/// # Errors
/// [`SolveError::NoTimes`], [`SolveError::TimeOutsideSpan`] and [`SolveError::UnorderedTimes`] unless `times`
/// lie in the span, in the order of the solve (a time may be repeated); those of [`solve`].
pub fn solve_at<F: VectorField, R: Recorder<F::State, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    times: &[f64],
    options: &SolveOptions,
    recorder: &mut R,
) -> Result<(Vec<F::State>, Stats), SolveError> {
    options.validate_times(times.iter().copied())?;
    let before_end = times.partition_point(|t| {
        if options.t1 < options.t0 {
            *t > options.t1
        } else {
            *t < options.t1
        }
    });
    let mut saved = SavedPoints {
        tableau,
        left: &times[..before_end],
        values: Vec::with_capacity(times.len()),
    };
    let solution = solve(field, tableau, y0, options, &mut (&mut saved, recorder))?;
    let stats = solution.stats();
    let mut values = saved.values;
    // What is left lies at the end, but for rounding.
    while values.len() + 1 < times.len() {
        values.push(solution.y.clone());
    }
    if values.len() < times.len() {
        values.push(solution.y);
    }
    Ok((values, stats))
}

/// Evaluates the solution at times before its end, as the steps that contain them are accepted.
struct SavedPoints<'t, Y, const S: usize> {
    tableau: &'static ButcherTableau<S>,
    /// The times that no step has reached yet.
    left: &'t [f64],
    values: Vec<Y>,
}

impl<Y: State, const S: usize> Recorder<Y, S> for SavedPoints<'_, Y, S> {
    fn record(&mut self, step: Step<&mut Y, &mut [Y; S]>) -> Result<(), SolveError> {
        while let Some((t, later)) = self.left.split_first() {
            let theta = step.theta(*t);
            if theta >= 1.0 {
                // The end of this step is the start of the next, or of nothing.
                break;
            }
            let mut value = step.y.clone();
            if theta > 0.0 {
                let weights = self.tableau.dense_weights(theta);
                step.y
                    .combine_into(weighted(step.h, &weights, &*step.stages), &mut value)?;
            }
            self.values.push(value);
            self.left = later;
        }
        Ok(())
    }
}
