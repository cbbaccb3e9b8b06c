//! Backward passes whose failures reach the caller.
//!
//! dfdx runs a backward pass as a list of closures that can return the device's error and nothing else.
//! A Neural ODE block whose adjoint fails therefore fills its gradients with NaN, so that they cannot be
//! mistaken for right ones, and leaves the reason here, on the thread that runs the pass.

use std::cell::RefCell;

use dfdx::{
    shapes::{Dtype, Rank0},
    tensor::{Gradients, OwnedTape, Tensor},
    tensor_ops::{Backward, Device},
};

use neuralode_core::ode::{error::SolveError, stats::Stats};

/// What the blocks of a pass have reported.
struct Report {
    stats: Stats,
    error: Option<SolveError>,
}

impl Report {
    const EMPTY: Self = Self {
        stats: Stats::NONE,
        error: None,
    };

    fn outcome(self) -> Result<Stats, SolveError> {
        self.error.map_or(Ok(self.stats), Err)
    }
}

thread_local! {
    static REPORT: RefCell<Report> = const { RefCell::new(Report::EMPTY) };
}

/// A pass of [`try_backward`] on this thread, with a report of its own.
///
/// A thread of a pool that waits inside a pass may run another one in the meantime, from start to end. The report of
/// the pass that waits is kept here until then, and comes back even if the other one panics.
struct Pass {
    waiting: Option<Report>,
}

impl Pass {
    fn begin() -> Self {
        Self {
            waiting: Some(REPORT.replace(Report::EMPTY)),
        }
    }

    /// Ends the pass, and gives its report.
    fn end(mut self) -> Report {
        let waiting = self.waiting.take().unwrap_or(Report::EMPTY);
        REPORT.replace(waiting)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take() {
            REPORT.set(waiting);
        }
    }
}

/// Leaves the outcome of one block's adjoint for the caller of the pass; the first error stays.
pub(crate) fn report(outcome: Result<Stats, SolveError>) {
    REPORT.with_borrow_mut(|report| match outcome {
        Ok(stats) => report.stats += stats,
        Err(error) => {
            report.error.get_or_insert(error);
        }
    });
}

/// Takes what the blocks on this thread have reported since the last call: the work of their adjoints, or
/// the first failure.
///
/// Only needed after a pass that dfdx's own `loss.backward()` ran; [`try_backward`] does it for you. On a pool of
/// threads that run several passes at once use [`try_backward`]: it alone keeps their reports apart.
///
/// # Errors
/// The [`SolveError`] of the first block whose adjoint failed.
pub fn take_backward_report() -> Result<Stats, SolveError> {
    REPORT.replace(Report::EMPTY).outcome()
}

/// Runs the backward pass of `loss` and returns the gradients with the work of all adjoints in it.
///
/// The same as dfdx's `loss.try_backward()`, but a failed adjoint is an error instead of gradients that
/// are NaN.
///
/// # Errors
/// The [`SolveError`] of the first block whose adjoint failed, [`SolveError::Device`] if the device did.
///
/// # Examples
/// ```
/// use dfdx::prelude::*;
/// let dev = Cpu::default();
/// let x: Tensor<Rank1<3>, f32, _> = dev.tensor([1.0, 2.0, 3.0]);
/// let loss = x.leaky_trace().square().sum();
/// let (gradients, stats) = neuralode_runtime::try_backward(loss)?;
/// assert_eq!(gradients.get(&x).array(), [2.0, 4.0, 6.0]);
/// assert_eq!(stats.vjps, 0); // there is no Neural ODE in this loss
/// # Ok::<(), neuralode_runtime::SolveError>(())
/// ```
pub fn try_backward<E: Dtype, D: Device<E>>(
    loss: Tensor<Rank0, E, D, OwnedTape<E, D>>,
) -> Result<(Gradients<E, D>, Stats), SolveError> {
    let pass = Pass::begin();
    let gradients = loss.try_backward();
    let report = pass.end();
    let gradients = gradients.map_err(SolveError::device)?;
    Ok((gradients, report.outcome()?))
}
