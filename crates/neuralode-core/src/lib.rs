//! Solvers of ordinary differential equations, their adjoints, and fields compiled for the processor's vector
//! instructions: what [`neuralode`](https://docs.rs/neuralode) needs of numerics, without a tensor library.
//!
//! Folders depend on each other in one direction, from left to right:
//! `simd`, `device` <- `kernel`; `simd` <- `ode`; all of them <- `engine`.
//! * `ode`: what a field, a state, a method, a controller and an adjoint are, and the loop that every solve runs
//!   through.
//! * `simd`: instruction sets, numbers in registers, threads and memory.
//! * `kernel`: the layers that fields are made of, over tiles of samples and for one sample.
//! * `device`: the same layers as text of a CUDA program.
//! * `engine`: states and fields that the solvers work with: tiles of samples, lanes, one sample, closures.

#![forbid(unsafe_code)]
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

pub mod device;
pub mod engine;
pub mod kernel;
pub mod ode;
pub mod simd;

pub use engine::closure::FnField;
pub use ode::choices::{Adjoint, Backend, Control, Controller, GradientCheck, Solver, StepSizes};
pub use ode::error::SolveError;
pub use ode::options::SolveOptions;
pub use ode::output::dense_output::DenseOutput;
pub use ode::output::events::Event;
pub use ode::stats::Stats;
pub use ode::{SaveAt, Solve};
