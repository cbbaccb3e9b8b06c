//! dfdx's modules with the errors of this library.

use dfdx::nn::Module;

use neuralode_core::ode::error::SolveError;

/// Applies a dfdx module, with its error as a [`SolveError`].
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn apply<M: Module<X>, X>(module: &M, x: X) -> Result<M::Output, SolveError>
where
    M::Error: core::fmt::Display,
{
    module.try_forward(x).map_err(SolveError::device)
}
