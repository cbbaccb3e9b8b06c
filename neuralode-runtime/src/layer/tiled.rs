//! A layer with kernels over tiles as one operation on the tape.

use core::fmt;

use dfdx::{
    nn::{Module, TensorCollection},
    shapes::{Dtype, HasShape, Shape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::{Device, ReshapeTo},
};

use crate::{
    layer::module::apply,
    tensor::{
        accumulate_params, flat_parameters,
        storage::{covers, numbers_mut, read, same, KernelDtype},
    },
};
use neuralode_core::{
    kernel::{
        tiled::{self, LANES_F32, LANES_F64},
        TileLayer,
    },
    ode::error::SolveError,
    simd::buffer::Buffer,
};

/// Applies `layer`, whose kernels are `K`, to samples of `I` numbers; `to` is the shape of the result, of samples of
/// `O`.
///
/// With `by_kernels` it is one operation on the tape where the processor has vector instructions. Elsewhere, and
/// without, it consists of dfdx's operations. The two differ by rounding.
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn apply_tiled<K, const I: usize, const O: usize, M, X, Y, E, D, T>(
    layer: &M,
    x: Tensor<X, E, D, T>,
    to: Y,
    by_kernels: bool,
) -> Result<Tensor<Y, E, D, T>, SolveError>
where
    K: TileLayer<I, O>,
    M: Module<Tensor<X, E, D, T>, Output = Tensor<Y, E, D, T>>,
    M: TensorCollection<E, D> + Clone + 'static,
    M::Error: fmt::Display,
    X: Shape,
    Y: Shape,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
{
    if by_kernels && covers::<E, D>() && x.shape().num_elements() > 0 {
        // Known while compiling, so that one of them is: `covers` lets no third type through.
        if const { size_of::<E>() == size_of::<f32>() } {
            run::<K, I, O, { LANES_F32 }, f32, _, _, _, _, _, _>(layer, x, to)
        } else {
            run::<K, I, O, { LANES_F64 }, f64, _, _, _, _, _, _>(layer, x, to)
        }
    } else {
        apply(layer, x)
    }
}

/// `R` is `E` under the name that the kernels know.
fn run<K, const I: usize, const O: usize, const L: usize, R, M, X, Y, E, D, T>(
    layer: &M,
    x: Tensor<X, E, D, T>,
    to: Y,
) -> Result<Tensor<Y, E, D, T>, SolveError>
where
    K: TileLayer<I, O>,
    R: KernelDtype,
    M: Module<Tensor<X, E, D, T>, Output = Tensor<Y, E, D, T>>,
    M: TensorCollection<E, D> + Clone + 'static,
    M::Error: fmt::Display,
    X: Shape,
    Y: Shape,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
{
    let x = x.try_contiguous().map_err(SolveError::device)?;
    let params = same::<Vec<E>, Vec<R>>(flat_parameters(layer)?);
    let params = params.filter(|params| params.len() == K::PARAMS);
    let (Some(params), Some(rows)) = (params, read::<_, _, _, _, R>(&x)) else {
        // The layer's tensors are not those of its kernels: one is frozen, say.
        return apply(layer, x);
    };
    let (x, mut tape) = x.split_tape();
    let value = tiled::forward::<K, R, I, O, L>(&params, rows.as_slice());
    let saved = T::OWNS_TAPE.then(|| Buffer::copy_of(&value));
    let value = same::<Vec<R>, Vec<E>>(value).unwrap_or_default();
    let y = x.device().try_tensor_from_vec(value, to);
    let y = y.map_err(SolveError::device)?;
    if let Some(saved) = saved {
        let (x, y, layer) = (x.ghost(), y.ghost(), layer.clone());
        tape.add_backward_op(move |gradients| {
            let cotangent = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&y)?);
            let Some(cotangent) = cotangent.map(|c| Buffer::copy_of(c)) else {
                return Ok(());
            };
            let mut theta_bar = vec![R::default(); K::PARAMS];
            let x_bar = gradients.get_or_alloc_mut(&x)?;
            if let Some(x_bar) = numbers_mut::<E, D, R>(x_bar) {
                tiled::backward::<K, R, I, O, L>(
                    &params,
                    (rows.as_slice(), saved.as_slice(), cotangent.as_slice()),
                    x_bar,
                    &mut theta_bar,
                );
            }
            let theta_bar = same::<Vec<R>, Vec<E>>(theta_bar).unwrap_or_default();
            accumulate_params(&layer, &theta_bar, gradients)
        });
    }
    Ok(y.put_tape(tape))
}
