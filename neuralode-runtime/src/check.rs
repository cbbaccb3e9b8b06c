//! Checks that generated models run on what goes in and what comes out.

use dfdx::{
    shapes::{Dtype, HasShape, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::Device,
};

use crate::tensor::first_non_finite;
use neuralode_core::ode::error::{Quantity, SolveError};

/// An error if a number of `x` is not finite.
fn finite<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: &Tensor<S, E, D, T>,
    quantity: Quantity,
) -> Result<(), SolveError> {
    match first_non_finite(x)? {
        None => Ok(()),
        sample => Err(SolveError::NonFiniteData { quantity, sample }),
    }
}

/// An error if a number of a model's input `x` is not finite.
pub(crate) fn finite_input<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: &Tensor<S, E, D, T>,
) -> Result<(), SolveError> {
    finite(x, Quantity::Input)
}

/// An error unless the input `x` of a model holds at least one sample.
///
/// # Errors
/// [`SolveError::EmptyBatch`].
pub fn model_batch(x: &impl HasShape) -> Result<(), SolveError> {
    if x.shape().num_elements() == 0 {
        let shape = x.shape().concrete().into();
        return Err(SolveError::EmptyBatch { shape });
    }
    Ok(())
}

/// An error unless the input `x` of a model holds at least one sample and finite numbers only.
///
/// # Errors
/// [`SolveError::EmptyBatch`], [`SolveError::NonFiniteData`], and [`SolveError::Device`] if the device fails.
pub fn model_input<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: &Tensor<S, E, D, T>,
) -> Result<(), SolveError> {
    model_batch(x)?;
    finite_input(x)
}

/// An error unless the output `x` of a model holds finite numbers only.
///
/// # Errors
/// [`SolveError::NonFiniteData`], and [`SolveError::Device`] if the device fails.
pub fn model_output<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: &Tensor<S, E, D, T>,
) -> Result<(), SolveError> {
    finite(x, Quantity::Output)
}
