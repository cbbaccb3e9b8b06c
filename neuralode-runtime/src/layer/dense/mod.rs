//! The affine layer.

mod fused;

use core::{cell::Cell, marker::PhantomData};

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Const, Dim, Dtype, HasShape, Rank1, Rank2},
    tensor::{HasErr, Tape, Tensor},
    tensor_ops::{BroadcastTo, Device, PermuteTo, ReshapeTo, TryAdd, TryMatMul},
};

use crate::{
    layer::{
        activation::Activation,
        dense::fused::{Fused, Operand},
        init::{self, Fan, Glorot, Initialisation},
    },
    samples::Samples,
    tensor::storage::{covers, is_contiguous},
};

/// `A(x W^T + b)`: an affine map from `I` to `O` features, followed by the activation `A`.
///
/// Starts with what the rule `Init` draws from the device's generator: by default [`Glorot`] uniform weights and zero
/// biases. The draws are made in f64, so that equal seeds give equal models in f32 and f64 up to rounding.
///
/// On `Cpu` in f32 and f64 the layer is one operation on the tape, with kernels of its own; elsewhere, or with
/// an activation of your own, it consists of dfdx's operations. The two differ by rounding.
///
/// # Shapes
/// `(B, I)` to `(B, O)`.
#[derive(Clone, Debug)]
pub struct Dense<const I: usize, const O: usize, A, E: Dtype, D: Device<E>, Init = Glorot> {
    /// Weights, `(O, I)`.
    pub weight: Tensor<Rank2<O, I>, E, D>,
    /// Biases, `(O,)`.
    pub bias: Tensor<Rank1<O>, E, D>,
    activation: PhantomData<(A, Init)>,
}

impl<const I: usize, const O: usize, A, E: Dtype, D: Device<E>> Dense<I, O, A, E, D> {
    /// A layer with the given parameters.
    pub const fn new(weight: Tensor<Rank2<O, I>, E, D>, bias: Tensor<Rank1<O>, E, D>) -> Self {
        Self {
            weight,
            bias,
            activation: PhantomData,
        }
    }
}

impl<const I: usize, const O: usize, A, E: Dtype, D: Device<E>, Init: Initialisation>
    Dense<I, O, A, E, D, Init>
{
    const FAN: Fan = Fan {
        inputs: I,
        outputs: O,
    };

    fn fill_weight(weight: &mut Tensor<Rank2<O, I>, E, D>) -> Result<(), <D as HasErr>::Err> {
        init::fill::<Init, _, _, _>(weight, Self::FAN)
    }

    fn fill_bias(bias: &mut Tensor<Rank1<O>, E, D>) -> Result<(), <D as HasErr>::Err> {
        init::fill_bias::<Init, _, _, _>(bias, Self::FAN)
    }
}

impl<const I: usize, const O: usize, A, E, D, Init> TensorCollection<E, D>
    for Dense<I, O, A, E, D, Init>
where
    A: Activation,
    E: Dtype,
    D: Device<E>,
    Init: Initialisation,
{
    type To<E2: Dtype, D2: Device<E2>> = Dense<I, O, A, E2, D2, Init>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "weight",
                    |s| &s.weight,
                    |s| &mut s.weight,
                    TensorOptions::reset_with(Self::fill_weight),
                ),
                Self::tensor(
                    "bias",
                    |s| &s.bias,
                    |s| &mut s.bias,
                    TensorOptions::reset_with(Self::fill_bias),
                ),
            ),
            |(weight, bias)| Dense {
                weight,
                bias,
                activation: PhantomData,
            },
        )
    }
}

impl<const I: usize, const O: usize, A, E: Dtype, D: Device<E>, Init> NonMutableModule
    for Dense<I, O, A, E, D, Init>
{
}

impl<const I: usize, const O: usize, A, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>, Init>
    Module<Tensor<(B, Const<I>), E, D, T>> for Dense<I, O, A, E, D, Init>
where
    A: Activation,
{
    type Output = Tensor<(B, Const<O>), E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<(B, Const<I>), E, D, T>) -> Result<Self::Output, D::Err> {
        let input = Input {
            gradient: true,
            finite: None,
        };
        self.try_forward_from(x, input)
    }
}

/// What a layer's caller knows of its input, and wants to know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'c> {
    /// Whether a backward pass computes its gradient: somebody may ask for it.
    pub(crate) gradient: bool,
    /// Where to say whether its numbers are finite, if the layer reads them.
    pub(crate) finite: Option<&'c Cell<Option<bool>>>,
}

impl<const I: usize, const O: usize, A: Activation, E: Dtype, D: Device<E>, Init>
    Dense<I, O, A, E, D, Init>
{
    /// The layer's forward pass: one operation on the tape where the processor has kernels for it.
    pub(crate) fn try_forward_from<B: Dim, T: Tape<E, D>>(
        &self,
        x: Tensor<(B, Const<I>), E, D, T>,
        input: Input<'_>,
    ) -> Result<Tensor<(B, Const<O>), E, D, T>, D::Err> {
        // Kernels read rows.
        let x = if covers::<E, D>() {
            x.try_contiguous()?
        } else {
            x
        };
        self.try_forward_operand(Operand::Tensor(x), input)
    }

    /// The same for samples in memory, with what follows on `tape`; `shape` is theirs.
    pub(crate) fn try_forward_in_memory<B: Dim, T: Tape<E, D>>(
        &self,
        samples: &Samples<E>,
        shape: (B, Const<I>),
        tape: T,
        input: Input<'_>,
    ) -> Result<Tensor<(B, Const<O>), E, D, T>, D::Err> {
        self.try_forward_operand(Operand::Samples(samples.clone(), shape, tape), input)
    }

    fn try_forward_operand<B: Dim, T: Tape<E, D>>(
        &self,
        x: Operand<I, B, E, D, T>,
        input: Input<'_>,
    ) -> Result<Tensor<(B, Const<O>), E, D, T>, D::Err> {
        let fusible = covers::<E, D>()
            && !x.is_empty()
            && I > 0
            && O > 0
            && is_contiguous(&self.weight)
            && is_contiguous(&self.bias);
        let layer = self;
        let fused = Fused { layer, x, input };
        if fusible {
            A::with_kernel(fused).unwrap_or_else(Fused::by_operations)
        } else {
            fused.by_operations()
        }
    }

    /// The same in dfdx's operations, on any device.
    pub(super) fn try_forward_by_operations<B: Dim, T: Tape<E, D>>(
        &self,
        x: Tensor<(B, Const<I>), E, D, T>,
    ) -> Result<Tensor<(B, Const<O>), E, D, T>, D::Err> {
        let weight: Tensor<Rank2<I, O>, E, D, T> = self.weight.retaped::<T>().try_permute()?;
        let affine = x.try_matmul(weight)?;
        let shape = *affine.shape();
        let bias = self.bias.retaped::<T>().try_broadcast_like(&shape)?;
        A::try_apply(affine.try_add(bias)?)
    }
}
