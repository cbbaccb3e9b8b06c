//! Changes of shape, which hold no parameters.

use dfdx::{
    nn::{NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::{Device, ReshapeTo},
};

use neuralode_core::ode::error::SolveError;

/// Joins all axes of a sample into one. The shapes before and behind are part of a model's declaration, so
/// that this type is only the mark of the place; [`reshape`] does the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flatten;

/// Gives a sample other axes, in the order of its scalars. A mark of the place like [`Flatten`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reshape;

impl ZeroSizedModule for Flatten {}
impl NonMutableModule for Flatten {}
impl ZeroSizedModule for Reshape {}
impl NonMutableModule for Reshape {}

/// `x` in the shape `to`, which must hold as many scalars; the macro sees to that at compile time.
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn reshape<S: Shape, To: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    to: To,
) -> Result<Tensor<To, E, D, T>, SolveError> {
    x.try_reshape_like(&to).map_err(SolveError::device)
}
