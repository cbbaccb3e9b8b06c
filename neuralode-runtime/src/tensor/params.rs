//! The parameters of a module as numbers: read, cut into tensors, and their gradients gathered and added to.

use core::any::TypeId;

use dfdx::{
    nn::{RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorRef},
    shapes::{Dtype, HasShape, Rank0, Shape},
    tensor::{Cpu, Gradients, Storage, Tensor, Trace},
    tensor_ops::{Backward, Device, ReshapeTo, SumTo, TryAdd, TryMul},
};

use crate::tensor::storage::{is_contiguous, numbers_mut};
use neuralode_core::ode::error::SolveError;

/// The cotangent of one parameter, flattened: parameters of different shapes form one `Vec`.
pub type Flat<E, D> = Tensor<(usize,), E, D>;

/// What a [`TensorVisitor`] of this file does with each tensor; the rest is the same for all.
macro_rules! visits {
    (|$this:ident, $options:pat_param, $tensor:ident| $body:block) => {
        type Viewer = ViewTensorRef;
        type Err = D::Err;
        type E2 = E;
        type D2 = D;

        fn visit<S: Shape>(
            &mut self,
            $options: TensorOptions<S, E, D>,
            $tensor: &Tensor<S, E, D>,
        ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
            let $this = self;
            $body
            Ok(None)
        }
    };
}

/// Shows all tensors of `module` to `visitor`, in the order in which it visits them.
fn walk<E, D, M, V>(module: &M, visitor: &mut V) -> Result<(), D::Err>
where
    E: Dtype,
    D: Device<E>,
    M: TensorCollection<E, D>,
    V: TensorVisitor<E, D, Viewer = ViewTensorRef, Err = D::Err, E2 = E, D2 = D>,
{
    M::iter_tensors(&mut RecursiveWalker {
        m: module,
        f: visitor,
    })?;
    Ok(())
}

/// The gradients of all parameters of `module`, in the order in which it visits them; zeros where a
/// parameter has none.
pub(super) fn flat_gradients<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
    gradients: &mut Gradients<E, D>,
) -> Result<Vec<Flat<E, D>>, SolveError> {
    struct Gather<'g, E: Dtype, D: Device<E>> {
        gradients: &'g mut Gradients<E, D>,
        out: Vec<Flat<E, D>>,
    }

    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Gather<'_, E, D> {
        visits!(|this, options, tensor| {
            if options.do_gradient_update {
                this.gradients.try_alloc_for(tensor)?;
                let count = tensor.shape().num_elements();
                let flat = this.gradients.get(tensor).try_reshape_like(&(count,))?;
                this.out.push(flat);
            }
        });
    }

    let mut gather = Gather {
        gradients,
        out: Vec::new(),
    };
    walk(module, &mut gather).map_err(SolveError::device::<D::Err>)?;
    Ok(gather.out)
}

/// Adds flat cotangents, as [`Differentiable::vjp`] orders them, to the gradients of the parameters of
/// `module`.
pub(crate) fn accumulate_flat<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
    cotangents: Vec<Flat<E, D>>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), D::Err> {
    struct Scatter<'g, E: Dtype, D: Device<E>> {
        gradients: &'g mut Gradients<E, D>,
        cotangents: std::vec::IntoIter<Flat<E, D>>,
    }

    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Scatter<'_, E, D> {
        visits!(|this, options, tensor| {
            if options.do_gradient_update {
                if let Some(flat) = this.cotangents.next() {
                    let cotangent = flat.try_reshape_like(tensor.shape())?;
                    accumulate(tensor, cotangent, this.gradients)?;
                }
            }
        });
    }

    let mut scatter = Scatter {
        gradients,
        cotangents: cotangents.into_iter(),
    };
    walk(module, &mut scatter)
}

/// Adds the cotangents of all parameters of `module`, as [`flat_parameters`] orders them, to their gradients.
pub(crate) fn accumulate_params<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
    cotangents: &[E],
    gradients: &mut Gradients<E, D>,
) -> Result<(), D::Err> {
    struct Scatter<'g, E: Dtype, D: Device<E>> {
        gradients: &'g mut Gradients<E, D>,
        cotangents: &'g [E],
    }

    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Scatter<'_, E, D> {
        visits!(|this, options, tensor| {
            let count = tensor.shape().num_elements();
            if let (true, Some((cotangent, rest))) = (
                options.do_gradient_update,
                this.cotangents.split_at_checked(count),
            ) {
                this.cotangents = rest;
                accumulate_numbers(tensor, cotangent, this.gradients)?;
            }
        });
    }

    let mut scatter = Scatter {
        gradients,
        cotangents,
    };
    walk(module, &mut scatter)
}

/// Shows `f` the gradient of each trainable parameter of `module`, as the device keeps it, one after the other, with a
/// function that copies the parameter's numbers.
pub(crate) fn each_gradient<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
    gradients: &mut Gradients<E, D>,
    f: impl FnMut(&mut <D as Storage<E>>::Vec, &dyn Fn() -> Vec<E>),
) -> Result<(), D::Err> {
    struct Show<'g, E: Dtype, D: Device<E>, Fun>(&'g mut Gradients<E, D>, Fun);

    impl<E: Dtype, D: Device<E>, Fun> TensorVisitor<E, D> for Show<'_, E, D, Fun>
    where
        Fun: FnMut(&mut <D as Storage<E>>::Vec, &dyn Fn() -> Vec<E>),
    {
        visits!(|this, options, tensor| {
            if options.do_gradient_update {
                (this.1)(this.0.get_or_alloc_mut(tensor)?, &|| tensor.as_vec());
            }
        });
    }

    walk(module, &mut Show(gradients, f))
}

/// Whether the numbers of all parameters of `module` lie in order, so that those of their gradients do.
#[cfg(feature = "cuda")]
pub(crate) fn all_contiguous<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
) -> Result<bool, D::Err> {
    struct Look(bool);

    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Look {
        visits!(|this, _, tensor| {
            this.0 &= is_contiguous(tensor);
        });
    }

    let mut look = Look(true);
    walk(module, &mut look)?;
    Ok(look.0)
}

/// Adds `cotangent` to the gradient of `tensor`, on whatever device both live.
pub(crate) fn accumulate<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &Tensor<S, E, D>,
    cotangent: Tensor<S, E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), D::Err> {
    if TypeId::of::<D>() == TypeId::of::<Cpu>() {
        let cotangent = cotangent.try_contiguous()?;
        let mut numbers = vec![E::default(); cotangent.shape().num_elements()];
        cotangent.copy_into(&mut numbers);
        return accumulate_numbers(tensor, &numbers, gradients);
    }
    accumulate_anywhere(tensor, cotangent, gradients)
}

/// Adds `cotangent`, in the order of the elements of `tensor`, to its gradient. On the processor this is one
/// loop over the gradient's memory.
pub(crate) fn accumulate_numbers<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &Tensor<S, E, D>,
    cotangent: &[E],
    gradients: &mut Gradients<E, D>,
) -> Result<(), D::Err> {
    if is_contiguous(tensor) {
        let storage = gradients.get_or_alloc_mut(tensor)?;
        if let Some(gradient) = numbers_mut::<E, D, E>(storage) {
            for (gradient, cotangent) in gradient.iter_mut().zip(cotangent) {
                *gradient += *cotangent;
            }
            return Ok(());
        }
    }
    let device = tensor.device();
    let cotangent = device.try_tensor_from_vec(cotangent.to_vec(), *tensor.shape())?;
    accumulate_anywhere(tensor, cotangent, gradients)
}

/// Adds `cotangent` to the gradient of `tensor` by dfdx's operations.
fn accumulate_anywhere<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &Tensor<S, E, D>,
    cotangent: Tensor<S, E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), D::Err> {
    gradients.try_alloc_for(tensor)?;
    let total = gradients.get(tensor).try_add(cotangent)?;
    let mut carrier = as_gradient(tensor, total)?;
    core::mem::swap(
        gradients.get_or_alloc_mut(tensor)?,
        carrier.get_or_alloc_mut(tensor)?,
    );
    Ok(())
}

/// Gradients in which that of `of` is `numbers`: dfdx hands out a device's storage only as a gradient, and these are
/// the gradient of the sum of `of * numbers`.
pub(crate) fn as_gradient<S: Shape, E: Dtype, D: Device<E>>(
    of: &Tensor<S, E, D>,
    numbers: Tensor<S, E, D>,
) -> Result<Gradients<E, D>, D::Err> {
    let product = of.leaky_trace().try_mul(numbers)?;
    product.try_sum::<Rank0, S::AllAxes>()?.try_backward()
}

/// All parameters of `module` as numbers, in the order in which it visits them.
pub(crate) fn flat_parameters<E: Dtype, D: Device<E>, M: TensorCollection<E, D>>(
    module: &M,
) -> Result<Vec<E>, SolveError> {
    struct Read<E>(Vec<E>);

    impl<E: Dtype, D: Device<E>> TensorVisitor<E, D> for Read<E> {
        visits!(|this, options, tensor| {
            if options.do_gradient_update {
                let contiguous = tensor.clone().try_contiguous()?;
                let start = this.0.len();
                let count = contiguous.shape().num_elements();
                this.0.resize(start + count, E::default());
                // `as_vec` would visit the elements one by one.
                contiguous.copy_into(&mut this.0[start..]);
            }
        });
    }

    let mut read = Read(Vec::new());
    walk(module, &mut read).map_err(SolveError::device::<D::Err>)?;
    Ok(read.0)
}
