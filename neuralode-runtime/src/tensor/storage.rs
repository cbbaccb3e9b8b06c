//! The numbers of dfdx tensors on the processor.
//!
//! Rust cannot say "if `D` is `Cpu` and `E` is `f32`" in a type, so the types are compared at run time, and
//! values that have the same type under another name are passed on as that.

use core::any::{Any, TypeId};

use dfdx::{
    optim::UnusedTensors,
    shapes::{Dtype, HasShape, Shape},
    tensor::{Cpu, NoneTape, Storage, Tensor},
    tensor_ops::{Device, ReshapeTo},
};

use neuralode_core::{
    kernel::rows::RowScalar,
    simd::{buffer::Buffer, isa::has_vectors},
};

/// A dtype that kernels compute in.
pub(crate) trait KernelDtype: RowScalar + Dtype {}

impl<R: RowScalar + Dtype> KernelDtype for R {}

/// Whether kernels run on this processor, device and dtype.
pub(crate) fn covers<E: Dtype, D: Device<E>>() -> bool {
    let dtype = TypeId::of::<E>();
    let known = dtype == TypeId::of::<f32>() || dtype == TypeId::of::<f64>();
    known && TypeId::of::<D>() == TypeId::of::<Cpu>() && has_vectors()
}

/// `a` as a `B`, if that is what it is.
pub(crate) fn same<A: 'static, B: 'static>(a: A) -> Option<B> {
    let mut slot = Some(a);
    let slot: &mut dyn Any = &mut slot;
    slot.downcast_mut::<Option<B>>()?.take()
}

/// The numbers of a gradient as dfdx keeps it, if the device is the processor and `R` is `E`.
pub(crate) fn numbers_mut<E: Dtype, D: Device<E>, R: Dtype>(
    storage: &mut <D as Storage<E>>::Vec,
) -> Option<&mut [R]> {
    let storage: &mut dyn Any = storage;
    let storage = storage.downcast_mut::<<Cpu as Storage<R>>::Vec>()?;
    Some(storage.as_mut_slice())
}

/// Whether the numbers of `tensor` lie in the order of its elements, without gaps or repetitions.
pub(crate) fn is_contiguous<S: Shape, E: Dtype, D: Device<E>, T>(
    tensor: &Tensor<S, E, D, T>,
) -> bool {
    // dfdx does not show strides, but it makes a tensor of another identity from one that is not contiguous.
    let untaped = tensor.retaped::<NoneTape>();
    let mut ids = UnusedTensors::default();
    ids.add(&untaped);
    match untaped.try_contiguous() {
        Ok(contiguous) => ids.add(&contiguous),
        Err(_) => return false,
    }
    ids.ids.first() == ids.ids.last()
}

/// A copy of the numbers of a contiguous tensor, if `R` is `E`.
pub(crate) fn read<S: Shape, E: Dtype, D: Device<E>, T, R: KernelDtype>(
    tensor: &Tensor<S, E, D, T>,
) -> Option<Buffer<R>> {
    let mut copy = Buffer::<R>::new(tensor.shape().num_elements());
    tensor.copy_into(copy.as_mut_slice_of::<E>()?);
    Some(copy)
}
