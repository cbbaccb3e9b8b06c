//! The affine layer on the processor: product, bias and activation as one operation on the tape.

use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    layer::{
        activation::{Activation, ActivationVisitor},
        dense::{Dense, Input},
    },
    samples::Samples,
    tensor::storage::{numbers_mut, read, same, KernelDtype},
};
use neuralode_core::{
    kernel::{
        activation::TileActivation,
        rows::{self, Size},
    },
    simd::buffer::Buffer,
};

/// A forward pass of `layer` on an input with elements, waiting for the kernel of its activation.
pub(super) struct Fused<
    'l,
    const I: usize,
    const O: usize,
    A,
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T,
    Init,
> {
    pub(super) layer: &'l Dense<I, O, A, E, D, Init>,
    pub(super) x: Operand<I, B, E, D, T>,
    pub(super) input: Input<'l>,
}

/// What enters, with the tape on which the layer is put.
pub(super) enum Operand<const I: usize, B: Dim, E: Dtype, D: Device<E>, T> {
    Tensor(Tensor<(B, Const<I>), E, D, T>),
    Samples(Samples<E>, (B, Const<I>), T),
}

impl<const I: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>> Operand<I, B, E, D, T> {
    /// As a tensor, for dfdx's operations.
    pub(super) fn tensor(self, device: &D) -> Result<Tensor<(B, Const<I>), E, D, T>, D::Err> {
        match self {
            Self::Tensor(x) => Ok(x),
            Self::Samples(samples, shape, tape) => {
                let x = device.try_tensor_from_vec(samples.numbers().to_vec(), shape)?;
                Ok(x.put_tape(tape))
            }
        }
    }

    /// Whether there is no number.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Tensor(x) => x.shape().num_elements() == 0,
            Self::Samples(samples, ..) => samples.numbers().is_empty(),
        }
    }

    /// The numbers, if `R` is `E`.
    fn numbers<R: KernelDtype>(&self) -> Option<Numbers<R>> {
        match self {
            Self::Tensor(x) => read(x).map(Numbers::Copied),
            Self::Samples(samples, ..) => same(samples.clone()).map(Numbers::Shared),
        }
    }

    /// The tensor, if it is one, the size of the batch, and the tape.
    fn split(self) -> (Option<Tensor<(B, Const<I>), E, D>>, B, T) {
        match self {
            Self::Tensor(x) => {
                let (x, tape) = x.split_tape();
                let (batch, _) = *x.shape();
                (Some(x), batch, tape)
            }
            Self::Samples(_, (batch, _), tape) => (None, batch, tape),
        }
    }
}

/// The numbers that enter: kept for the way back.
enum Numbers<R: KernelDtype> {
    Copied(Buffer<R>),
    Shared(Samples<R>),
}

impl<R: KernelDtype> Numbers<R> {
    fn as_slice(&self) -> &[R] {
        match self {
            Self::Copied(copy) => copy.as_slice(),
            Self::Shared(samples) => samples.numbers(),
        }
    }
}

impl<const I: usize, const O: usize, A, B: Dim, E: Dtype, D: Device<E>, T, Init> ActivationVisitor
    for Fused<'_, I, O, A, B, E, D, T, Init>
where
    A: Activation,
    T: Tape<E, D>,
{
    type Output = Result<Tensor<(B, Const<O>), E, D, T>, D::Err>;

    fn visit<K: TileActivation>(self) -> Self::Output {
        // Known while compiling, so that one of them is: `covers` lets no third type through.
        if const { size_of::<E>() == size_of::<f32>() } {
            self.run::<K, f32>()
        } else {
            self.run::<K, f64>()
        }
    }
}

impl<const I: usize, const O: usize, A, B: Dim, E: Dtype, D: Device<E>, T, Init>
    Fused<'_, I, O, A, B, E, D, T, Init>
where
    A: Activation,
    T: Tape<E, D>,
{
    /// The layer in dfdx's operations.
    pub(super) fn by_operations(self) -> Result<Tensor<(B, Const<O>), E, D, T>, D::Err> {
        let x = self.x.tensor(self.layer.weight.device())?;
        self.layer.try_forward_by_operations(x)
    }

    /// `R` is `E` under the name that the kernels know.
    fn run<K: TileActivation, R: KernelDtype>(
        self,
    ) -> Result<Tensor<(B, Const<O>), E, D, T>, D::Err> {
        let layer = self.layer;
        let numbers = (
            self.x.numbers::<R>(),
            read::<_, _, _, _, R>(&layer.weight),
            read::<_, _, _, _, R>(&layer.bias),
        );
        let (Some(x_numbers), Some(weight), Some(bias)) = numbers else {
            return self.by_operations();
        };
        let Self { x, input, .. } = self;
        let (x, batch, mut tape) = x.split();
        // What identifies it: its numbers need not stay.
        let x = x.map(|x| x.ghost());
        let mut y = vec![R::default(); batch.size() * O];
        let size = Size {
            inputs: I,
            outputs: O,
        };
        let is_finite = R::affine(
            size,
            x_numbers.as_slice(),
            weight.as_slice(),
            bias.as_slice(),
            &mut y,
            input.finite.is_some(),
        );
        if let Some(finite) = input.finite {
            finite.set(Some(is_finite));
        }
        // What the derivative of the activation needs.
        let mut saved = None;
        if T::OWNS_TAPE && K::FROM_ARGUMENT {
            saved = Some(Buffer::copy_of(&y));
        }
        rows::activate::<K, R>(&mut y);
        if T::OWNS_TAPE && !K::FROM_ARGUMENT {
            saved = Some(Buffer::copy_of(&y));
        }
        let device = layer.weight.device();
        let y = same::<Vec<R>, Vec<E>>(y).unwrap_or_default();
        let y = device.try_tensor_from_vec(y, (batch, Const::<O>))?;
        if let Some(saved) = saved {
            let y = y.ghost();
            let (layer_weight, layer_bias) = (layer.weight.ghost(), layer.bias.ghost());
            let weight = x.filter(|_| input.gradient).map(|x| (x, weight));
            tape.add_backward_op(move |gradients| {
                let cotangent = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&y)?);
                let Some(mut cotangent) = cotangent.map(|c| Buffer::copy_of(c)) else {
                    return Ok(());
                };
                rows::scale_by_derivative::<K, R>(saved.as_slice(), cotangent.as_mut_slice());
                let cotangent = cotangent.as_slice();
                let weight_bar = gradients.get_or_alloc_mut(&layer_weight)?;
                if let Some(weight_bar) = numbers_mut::<E, D, R>(weight_bar) {
                    R::add_weight_gradient(size, x_numbers.as_slice(), cotangent, weight_bar);
                }
                let bias_bar = gradients.get_or_alloc_mut(&layer_bias)?;
                if let Some(bias_bar) = numbers_mut::<E, D, R>(bias_bar) {
                    R::add_bias_gradient(cotangent, bias_bar);
                }
                if let Some((x, weight)) = weight {
                    let x_bar = gradients.get_or_alloc_mut(&x)?;
                    if let Some(x_bar) = numbers_mut::<E, D, R>(x_bar) {
                        R::add_input_gradient(size, weight.as_slice(), cotangent, x_bar);
                    }
                }
                Ok(())
            });
        }
        Ok(y.put_tape(tape))
    }
}
