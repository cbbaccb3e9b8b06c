//! Residual layers.

use dfdx::{
    nn::{ModuleVisitor, NonMutableModule, TensorCollection},
    shapes::{Dtype, Shape},
    tensor::{Tape, Tensor, WithEmptyTape},
    tensor_ops::{Device, TryAdd},
};

use neuralode_core::ode::error::SolveError;

/// `x + F(x)`: layers, a tuple if there are several, and what entered them added to what they return.
///
/// K. He, X. Zhang, S. Ren, J. Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
/// DOI 10.1109/CVPR.2016.90.
///
/// # Shapes
/// Any, unchanged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Residual<F>(pub F);

impl<F> NonMutableModule for Residual<F> {}

impl<E: Dtype, D: Device<E>, F: TensorCollection<E, D>> TensorCollection<E, D> for Residual<F> {
    type To<E2: Dtype, D2: Device<E2>> = Residual<F::To<E2, D2>>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(Self::module("0", |s| &s.0, |s| &mut s.0), Residual)
    }
}

/// A second way for `x`, with a tape of its own, which [`sum`] joins to the first.
pub fn branch<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: &Tensor<S, E, D, T>,
) -> Tensor<S, E, D, T> {
    x.with_empty_tape()
}

/// The sum of two ways.
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn sum<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    a: Tensor<S, E, D, T>,
    b: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, SolveError> {
    a.try_add(b).map_err(SolveError::device)
}
