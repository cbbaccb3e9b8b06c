//! The dfdx side of `neuralode`: blocks, layers, losses and optimizers over dfdx tensors.
//!
//! Use it through the facade crate `neuralode`, which adds the macros and re-exports everything here. The solvers and
//! their adjoints are in `neuralode-core`, which knows nothing of dfdx.
//!
//! Modules depend on each other in one direction only; `docs/architecture.md` draws it.

// Launching a kernel is unsafe, `cuda::launch`, and so is what it takes by value, `cuda::layout`; nothing else.
#![cfg_attr(feature = "cuda", deny(unsafe_code))]
#![cfg_attr(not(feature = "cuda"), forbid(unsafe_code))]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        reason = "a failing test panics"
    )
)]

mod backward;
mod block;
mod check;
pub mod cuda;
mod domain;
mod entry;
#[cfg(feature = "safetensors")]
pub mod files;
mod kept_gradient;
pub mod layer;
mod loss;
mod optim;
mod samples;
mod shape;
mod summary;
pub mod tensor;

pub use neuralode_core::{
    device, engine, kernel, ode, simd, Adjoint, Backend, Control, Controller, DenseOutput, Event,
    FnField, GradientCheck, SaveAt, Solve, SolveError, SolveOptions, Solver, Stats, StepSizes,
};

pub use backward::{take_backward_report, try_backward};
pub use block::{Frozen, NeuralOde, StatefulField};
#[cfg(feature = "safetensors")]
pub use files::FileError;
pub use kept_gradient::{keep_gradient, KeptGradient};
pub use layer::{Layer, Mode};
pub use loss::{softmax_cross_entropy, try_softmax_cross_entropy};
pub use optim::FusedAdam;
pub use samples::Samples;
pub use summary::{LayerSummary, Summary};
pub use tensor::TensorField;

/// The library whose tensors, optimizers and losses models work with.
pub use dfdx;

#[doc(hidden)]
pub mod __private;
