//! Solves of one sample after the other: step sizes of their own for fields, adjoints and devices without lanes.
//!
//! Any engine, any adjoint; as much arithmetic per sample as a batch of one takes.

use crate::block::solving::{Outcome, PullBack, Solve, Solving};
use neuralode_core::ode::{
    error::SolveError,
    field::{back::Cotangent, Differentiable},
    options::SolveOptions,
    state::State,
    stats::Stats,
};

/// The outcomes of all samples.
pub(super) struct Each<F: Differentiable> {
    /// Per sample one value per time.
    pub(super) values: Vec<Vec<F::State>>,
    /// What all samples cost together.
    pub(super) stats: Stats,
    /// Where gradients are wanted, one per sample.
    pub(super) pull_backs: Option<Vec<PullBack<F>>>,
}

/// Cotangents of all samples' `y0` and of the parameters.
pub(super) struct PulledEach<F: Differentiable> {
    pub(super) y_bars: Vec<F::State>,
    pub(super) theta_bar: F::Params,
    pub(super) stats: Stats,
}

/// Solves from every start, in order; the first sample that fails ends it, and its index is in the error.
pub(super) fn solve_each<F: Differentiable>(
    field: &mut F,
    solve: Solve<F>,
    starts: Vec<F::State>,
    times: &[f64],
    options: &SolveOptions,
    keep: bool,
) -> Result<Each<F>, SolveError> {
    let mut each = Each {
        values: Vec::with_capacity(starts.len()),
        stats: Stats::default(),
        pull_backs: keep.then(Vec::new),
    };
    for (index, y0) in starts.into_iter().enumerate() {
        let solving = Solving {
            field: &mut *field,
            y0,
            times,
            options,
            keep,
        };
        let Outcome {
            values,
            stats,
            pull_back,
        } = solve(solving).map_err(|error| error.of_sample(index))?;
        each.values.push(values);
        each.stats += stats;
        if let Some(pull_backs) = &mut each.pull_backs {
            pull_backs.extend(pull_back);
        }
    }
    Ok(each)
}

/// Pulls every sample's cotangents back; the parameters' parts are added in the order of the samples.
pub(super) fn pull_back_each<F: Differentiable>(
    field: &mut F,
    pull_backs: &[PullBack<F>],
    cotangents: impl Iterator<Item = Vec<Cotangent<F::State>>>,
) -> Result<PulledEach<F>, SolveError> {
    let (mut theta_bar, mut stats) = (field.zero_params()?, Stats::default());
    let mut y_bars = Vec::with_capacity(pull_backs.len());
    for (index, (pull_back, cotangents)) in pull_backs.iter().zip(cotangents).enumerate() {
        let pulled = pull_back(field, &cotangents).map_err(|error| error.of_sample(index))?;
        let sum = theta_bar.clone();
        sum.combine_into([(1.0, &pulled.theta_bar)].into_iter(), &mut theta_bar)?;
        y_bars.push(pulled.y_bar);
        stats += pulled.stats;
    }
    Ok(PulledEach {
        y_bars,
        theta_bar,
        stats,
    })
}
