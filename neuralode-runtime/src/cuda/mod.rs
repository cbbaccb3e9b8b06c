//! CUDA source of whole solves: a field that the macro can lower to kernels becomes device code, with an adaptive solve
//! and its discrete adjoint as one kernel each.
//!
//! The text is complete, has no header of its own, and is the same for NVRTC and nvcc; it is printed by
//! `model.cuda_source()`. Without a GPU it can be checked as plain C++: see [`Program::device_code`].

#[cfg(feature = "cuda")]
mod device;
#[cfg(feature = "cuda")]
#[allow(unsafe_code, reason = "a launch is a foreign call")]
pub(crate) mod launch;
#[cfg(feature = "cuda")]
#[allow(unsafe_code, reason = "what a launch takes by value")]
mod layout;

#[cfg(feature = "cuda")]
pub use device::open;
pub use neuralode_core::device::{FieldSource, Precision, Program};
