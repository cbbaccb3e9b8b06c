//! Checks that generated models run on what goes in and what comes out.

use dfdx::{
    shapes::{Dtype, HasShape, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    engine::tensor::first_non_finite,
    error::{Quantity, SolveError},
};

/// Passes `x` on if it has elements and all of them are finite.
fn finite<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    quantity: Quantity,
) -> Result<Tensor<S, E, D, T>, SolveError> {
    match first_non_finite(&x)? {
        None => Ok(x),
        sample => Err(SolveError::NonFinite {
            quantity,
            t: 0.0,
            h: 0.0,
            sample,
        }),
    }
}

/// Passes the input of a model on if it holds at least one sample and finite numbers only.
///
/// # Errors
/// [`SolveError::EmptyBatch`], [`SolveError::NonFinite`], and [`SolveError::Device`] if the device fails.
pub fn model_input<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, SolveError> {
    if x.shape().num_elements() == 0 {
        let shape = x.shape().concrete().into();
        return Err(SolveError::EmptyBatch { shape });
    }
    finite(x, Quantity::Input)
}

/// Passes the output of a model on if its numbers are finite.
///
/// # Errors
/// [`SolveError::NonFinite`], and [`SolveError::Device`] if the device fails.
pub fn model_output<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, SolveError> {
    finite(x, Quantity::Output)
}
