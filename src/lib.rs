//! placeholder
pub use neuralode_runtime::*;
