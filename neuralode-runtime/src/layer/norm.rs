//! Normalisation of a sample by its own mean and variance.

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Axis, Const, Dim, Dtype, HasShape, Rank1},
    tensor::{Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, TryAdd, TryMul},
};

/// The epsilon of a [`LayerNorm`] that says nothing else.
pub const DEFAULT_EPSILON: f64 = 1e-5;

/// The bits of an epsilon, which must be positive.
#[must_use]
#[track_caller]
#[allow(clippy::missing_panics_doc, reason = "while compiling alone")]
pub const fn epsilon_bits(epsilon: f64) -> u64 {
    assert!(
        0.0 < epsilon && epsilon < f64::INFINITY,
        "the epsilon of a `LayerNorm` must be positive"
    );
    epsilon.to_bits()
}

/// `weight * (x - mean) / sqrt(variance + epsilon) + bias`: mean and variance are those of the `N` scalars of each
/// sample, the variance with the divisor `N`, and every scalar has a weight and a bias.
///
/// `EPSILON` holds the bits of the positive number epsilon, [`f64::to_bits`], by default those of
/// [`DEFAULT_EPSILON`]. Starts with weights of one and biases of
/// zero.
///
/// # Shapes
/// `(B, N)` to `(B, N)`.
///
/// # Sources
/// J. L. Ba, J. R. Kiros, G. E. Hinton, "Layer normalization", arXiv:1607.06450.
#[derive(Clone, Debug)]
pub struct LayerNorm<
    const N: usize,
    E: Dtype,
    D: Device<E>,
    const EPSILON: u64 = { DEFAULT_EPSILON.to_bits() },
> {
    /// Weights, `(N,)`.
    pub weight: Tensor<Rank1<N>, E, D>,
    /// Biases, `(N,)`.
    pub bias: Tensor<Rank1<N>, E, D>,
}

impl<const N: usize, const EPSILON: u64, E: Dtype, D: Device<E>> TensorCollection<E, D>
    for LayerNorm<N, E, D, EPSILON>
{
    type To<E2: Dtype, D2: Device<E2>> = LayerNorm<N, E2, D2, EPSILON>;

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
            |(weight, bias)| LayerNorm { weight, bias },
        )
    }
}

impl<const N: usize, const EPSILON: u64, E: Dtype, D: Device<E>> NonMutableModule
    for LayerNorm<N, E, D, EPSILON>
{
}

impl<const N: usize, const EPSILON: u64, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>
    Module<Tensor<(B, Const<N>), E, D, T>> for LayerNorm<N, E, D, EPSILON>
{
    type Output = Tensor<(B, Const<N>), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, Const<N>), E, D, T>) -> Result<Self::Output, D::Err> {
        let shape = *x.shape();
        let normal = x.try_normalize::<Axis<1>>(f64::from_bits(EPSILON))?;
        let weight = self.weight.retaped::<T>().try_broadcast_like(&shape)?;
        let bias = self.bias.retaped::<T>().try_broadcast_like(&shape)?;
        normal.try_mul(weight)?.try_add(bias)
    }
}
