//! Learned weights and biases, feature by feature.

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Const, Dim, Dtype, HasShape, Rank1},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, ReshapeTo, TryAdd, TryMul},
};

/// `weight * x + bias` with a weight and a bias for each of `C` channels.
///
/// The scalars of a sample are `C` runs of equal length: features one by one, where there are `C` of them, or the
/// channels of an image. Starts as the identity, with weights of one and biases of zero.
///
/// # Shapes
/// `(B, N)` to `(B, N)`, where `C` divides `N`.
#[derive(Clone, Debug)]
pub struct Scale<const C: usize, E: Dtype, D: Device<E>> {
    /// Weights, `(C,)`.
    pub weight: Tensor<Rank1<C>, E, D>,
    /// Biases, `(C,)`.
    pub bias: Tensor<Rank1<C>, E, D>,
}

impl<const C: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for Scale<C, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Scale<C, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "weight",
                    |s| &s.weight,
                    |s| &mut s.weight,
                    TensorOptions::reset_to_ones(),
                ),
                Self::tensor(
                    "bias",
                    |s| &s.bias,
                    |s| &mut s.bias,
                    TensorOptions::reset_to_zeros(),
                ),
            ),
            |(weight, bias)| Scale { weight, bias },
        )
    }
}

impl<const C: usize, E: Dtype, D: Device<E>> NonMutableModule for Scale<C, E, D> {}

impl<const C: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>
    Module<Tensor<(B, Const<N>), E, D, T>> for Scale<C, E, D>
{
    type Output = Tensor<(B, Const<N>), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, Const<N>), E, D, T>) -> Result<Self::Output, D::Err> {
        const {
            assert!(
                C > 0 && N.is_multiple_of(C),
                "the channels of a `Scale` are of equal length"
            );
        }
        let shape = *x.shape();
        let runs = (shape.0.size(), Const::<C>, N / C);
        let x = x.try_reshape_like(&runs)?;
        let weight = self.weight.retaped::<T>().try_broadcast_like(&runs)?;
        let bias = self.bias.retaped::<T>().try_broadcast_like(&runs)?;
        x.try_mul(weight)?.try_add(bias)?.try_reshape_like(&shape)
    }
}
