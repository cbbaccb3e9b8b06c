//! The parts of which a solve is made.

pub mod adjoint;
pub(crate) mod builder;
pub mod choices;
pub mod control;
pub mod error;
pub mod field;
pub mod method;
pub mod options;
pub mod output;
#[doc(hidden)]
pub mod resolution;
pub mod solve;
pub mod state;
pub mod stats;
pub mod step;
pub mod stepper;
#[doc(hidden)]
pub mod stiffness;
pub(crate) mod stops;
pub mod tangents;
pub mod trajectory;

pub use builder::{Ended, Failure, SaveAt, Solution, Solve, StepInfo};
