//! Which values of a solution a block returns, and as what tensor.

use dfdx::{
    shapes::{Const, Dim, Dtype, Shape},
    tensor::Tensor,
    tensor_ops::{Device, SelectTo, TryStack},
};

use crate::tensor::{with_fresh_identity, DeviceErr};
use neuralode_core::ode::error::SolveError;

/// The values of a solution at some times, joined into one tensor.
pub(super) trait Saved<B: Dim, const N: usize, E: Dtype, D: Device<E>>:
    Clone + 'static
{
    /// The shape of that tensor.
    type Shape: Shape;

    /// The times.
    fn times(&self) -> &[f64];

    /// The shape for a batch of this size.
    fn shape(&self, batch: B) -> Self::Shape;

    /// Joins one value per time into a tensor with an identity of its own.
    fn join(
        values: Vec<Tensor<(B, Const<N>), E, D>>,
    ) -> Result<Tensor<Self::Shape, E, D>, SolveError>;

    /// Cuts such a tensor into one per time.
    fn split(
        &self,
        joined: Tensor<Self::Shape, E, D>,
    ) -> Result<Vec<Tensor<(B, Const<N>), E, D>>, DeviceErr<D>>;
}

/// The value at the end point, in the shape of the state.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) t1: f64,
}

impl<B: Dim, const N: usize, E: Dtype, D: Device<E>> Saved<B, N, E, D> for End {
    type Shape = (B, Const<N>);

    fn times(&self) -> &[f64] {
        core::slice::from_ref(&self.t1)
    }

    fn shape(&self, batch: B) -> Self::Shape {
        (batch, Const)
    }

    fn join(
        values: Vec<Tensor<(B, Const<N>), E, D>>,
    ) -> Result<Tensor<Self::Shape, E, D>, SolveError> {
        let value = values.into_iter().next().ok_or(SolveError::NoTimes)?;
        with_fresh_identity(value)
    }

    fn split(
        &self,
        joined: Tensor<Self::Shape, E, D>,
    ) -> Result<Vec<Tensor<(B, Const<N>), E, D>>, DeviceErr<D>> {
        Ok(vec![joined])
    }
}

/// The values at given times, along a new first axis.
#[derive(Clone, Debug)]
pub(super) struct At {
    pub(super) times: Vec<f64>,
}

impl<B: Dim, const N: usize, E: Dtype, D: Device<E>> Saved<B, N, E, D> for At {
    type Shape = (usize, B, Const<N>);

    fn times(&self) -> &[f64] {
        &self.times
    }

    fn shape(&self, batch: B) -> Self::Shape {
        (self.times.len(), batch, Const)
    }

    fn join(
        values: Vec<Tensor<(B, Const<N>), E, D>>,
    ) -> Result<Tensor<Self::Shape, E, D>, SolveError> {
        values.try_stack().map_err(SolveError::device)
    }

    fn split(
        &self,
        joined: Tensor<Self::Shape, E, D>,
    ) -> Result<Vec<Tensor<(B, Const<N>), E, D>>, DeviceErr<D>> {
        let device = joined.device().clone();
        (0..self.times.len())
            .map(|index| {
                let index = device.try_tensor_from_vec(vec![index], ())?;
                joined.clone().try_select(index)
            })
            .collect()
    }
}
