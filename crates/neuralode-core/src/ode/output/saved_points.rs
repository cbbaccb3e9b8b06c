//! Values of a solution at given times, taken from the dense output while the solve runs.

use crate::ode::{
    error::SolveError,
    field::VectorField,
    method::ButcherTableau,
    options::SolveOptions,
    resolution::within,
    solve::solve_observed,
    state::State,
    stats::Stats,
    step::{finite, weighted, Step},
    trajectory::Recorder,
};

/// Solves like [`record`](crate::ode::solve::record) and returns the solution at `times`, with what the solve cost.
///
/// The steps are those of a solve without `times`: inside a step the interpolant gives the value, to
/// [`ButcherTableau::dense_order`], for one linear combination of `S` stages and a look at its numbers. The value at
/// `t0` is `y0` and the one at `t1` the end of the last step, bit for bit; so are those at times that rounding has
/// taken beyond an end ([`SolveOptions::validate_times`]). `recorder` receives every accepted step.
///
/// # Errors
/// [`SolveError::NoTimes`], [`SolveError::TimeOutsideSpan`] and [`SolveError::UnorderedTimes`] unless `times` lie in
/// the span, in the order of the solve (a time may be repeated); [`SolveError::NonFinite`] for a value that is not
/// finite; those of [`record`](crate::ode::solve::record).
pub fn solve_at<F: VectorField, R: Recorder<F::State, S>, const S: usize>(
    field: &mut F,
    tableau: &'static ButcherTableau<S>,
    y0: F::State,
    times: &[f64],
    options: &SolveOptions,
    recorder: &mut R,
) -> Result<(Vec<F::State>, Stats), SolveError> {
    options.validate_times(times.iter().copied())?;
    let mut saved = SavedPoints::new(times, options);
    let mut values = Vec::with_capacity(times.len());
    let solution = solve_observed(field, tableau, y0, options, |_, mut step| {
        saved.pass(tableau, &mut step, 1.0, |_, value| values.push(value))?;
        recorder.record(step)
    })?;
    let stats = solution.stats();
    // What is left lies at the end, but for rounding.
    while values.len() + 1 < times.len() {
        values.push(solution.y.clone());
    }
    if values.len() < times.len() {
        values.push(solution.y);
    }
    Ok((values, stats))
}

/// The times at which a solution is wanted and that no step has reached yet.
pub(crate) struct SavedPoints<'t> {
    left: &'t [f64],
    /// How many of them lie before the end of the span, where the last step's end is the solution itself.
    inside: usize,
    /// The span.
    ends: (f64, f64),
}

impl<'t> SavedPoints<'t> {
    /// For valid times in the order of the solve.
    pub(crate) fn new(times: &'t [f64], options: &SolveOptions) -> Self {
        let (t0, t1) = (options.t0, options.t1);
        let before = |t: &f64| if t1 < t0 { *t > t1 } else { *t < t1 };
        Self {
            left: times,
            inside: times.partition_point(before),
            ends: (t0, t1),
        }
    }

    /// Saves the solution at the times that lie in `step` before its part `end` in `0..=1`: the end of a step is the
    /// start of the next, or of nothing.
    ///
    /// # Errors
    /// [`SolveError::NonFinite`] for a value that is not finite, and [`SolveError::Device`].
    pub(crate) fn pass<Y: State, const S: usize>(
        &mut self,
        tableau: &ButcherTableau<S>,
        step: &mut Step<&mut Y, &mut [Y; S]>,
        end: f64,
        mut save: impl FnMut(f64, Y),
    ) -> Result<(), SolveError> {
        while self.inside > 0 {
            let Some((t, later)) = self.left.split_first() else {
                break;
            };
            let theta = step.theta(*t);
            if theta >= end {
                break;
            }
            let mut value = step.y.clone();
            if theta > 0.0 {
                let weights = tableau.dense_weights(theta);
                step.y
                    .combine_into(weighted(step.h, &weights, &*step.stages), &mut value)?;
                finite(&value, (*t, step.h))?;
            }
            save(*t, value);
            self.left = later;
            self.inside -= 1;
        }
        Ok(())
    }

    /// The times that are left and that a solve to `t` does not end before, but by `noise` at most.
    pub(crate) fn reached(&mut self, t: f64, noise: f64) -> &'t [f64] {
        let (left, ends) = (self.left, self.ends);
        let backward = ends.1 < ends.0;
        let count = left.partition_point(|left| {
            let left = within(*left, ends);
            if backward {
                left >= t - noise
            } else {
                left <= t + noise
            }
        });
        let (reached, later) = left.split_at(count);
        self.left = later;
        reached
    }
}
