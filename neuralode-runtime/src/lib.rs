//! The runtime of `neuralode`: solvers, adjoints and layers over dfdx tensors.
//!
//! Use it through the facade crate `neuralode`, which adds the macros and re-exports everything here.
//!
//! Modules depend on each other in one direction only, from left to right:
//! `error`, `resolution`, `options`, `stats` <- `state`, `tableau` <- `step` <- `stiffness`, `vector_field` <- `stepper` <-
//! `trajectory`, `controller`, `stops` <- `solve`, `tangent_control` <- `saved_points` <- `adjoint`, `sensitivity` <-
//! `root`, `dense_output` <- `events` <- `ode` <- `engine` <- `samples`, `optim`, `files` <- `layer` <- `block`, `loss`,
//! `check` <- `entry`.
//! Only [`vector_field::Differentiable::pull_back_steps`] reaches to the right, for its default and the cotangents of
//! [`adjoint`]; [`engine::host`] and [`layer`] know each other.

// Launching a kernel is unsafe, `engine::cuda::launch`, and so is what it takes by value, `engine::cuda::layout`; nothing
// else.
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

pub mod adjoint;
mod backward;
mod block;
mod check;
mod controller;
mod dense_output;
mod domain;
pub mod engine;
mod entry;
pub mod error;
pub mod events;
#[cfg(feature = "safetensors")]
pub mod files;
mod kept_gradient;
pub mod layer;
mod loss;
pub mod ode;
mod optim;
pub mod options;
mod pool;
mod resolution;
mod root;
mod samples;
pub mod saved_points;
pub mod sensitivity;
mod shape;
pub mod solve;
pub mod state;
mod stats;
pub mod step;
pub mod stepper;
mod stiffness;
mod stops;
mod summary;
pub mod tableau;
mod tangent_control;
pub mod trajectory;
pub mod vector_field;

pub use backward::{take_backward_report, try_backward};
pub use block::{Frozen, NeuralOde, StatefulField};
pub use dense_output::DenseOutput;
pub use engine::host::FnField;
pub use engine::tensor::TensorField;
pub use error::SolveError;
pub use events::Event;
#[cfg(feature = "safetensors")]
pub use files::FileError;
pub use kept_gradient::{keep_gradient, KeptGradient};
pub use layer::{Layer, Mode};
pub use loss::{softmax_cross_entropy, try_softmax_cross_entropy};
pub use ode::{SaveAt, Solve};
pub use optim::FusedAdam;
pub use options::{
    Adjoint, Control, Controller, GradientCheck, SolveOptions, Solver, StepSizes, Vjp,
};
pub use samples::Samples;
pub use stats::Stats;
pub use summary::{LayerSummary, Summary};

/// The library whose tensors, optimizers and losses models work with.
pub use dfdx;

#[doc(hidden)]
pub mod __private;
