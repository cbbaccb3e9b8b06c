//! Gradients of what is no parameter.

use core::cell::OnceCell;
use std::rc::Rc;

use dfdx::{
    shapes::{Dtype, Shape},
    tensor::{NoneTape, OwnedTape, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

/// The gradient of a tensor, from the backward pass on; see [`keep_gradient`].
#[derive(Clone, Debug)]
pub struct KeptGradient<S: Shape, E: Dtype, D: Device<E>>(Rc<OnceCell<Tensor<S, E, D>>>);

impl<S: Shape, E: Dtype, D: Device<E>> KeptGradient<S, E, D> {
    /// The gradient, of the tensor's shape; `None` before the backward pass, and after one that failed on the way.
    pub fn get(&self) -> Option<&Tensor<S, E, D>> {
        self.0.get()
    }
}

/// The tensor `x` as it is, and its gradient, which is there after the backward pass.
///
/// dfdx drops the gradients of everything but parameters at the end of a pass whose gradients come from `alloc_grads`,
/// also that of an input, and panics where one is then asked for. This one stays, whatever the gradients come from, and
/// belongs to this pass alone: nothing is added to it later, and nothing is left in `gradients`.
///
/// # Cost
/// A copy of the gradient.
///
/// # Examples
/// ```
/// use dfdx::prelude::*;
/// use neuralode_runtime::{keep_gradient, try_backward};
///
/// let dev = Cpu::default();
/// let model = dev.build_module::<builders::Linear<2, 1>, f32>();
/// let x: Tensor<Rank1<2>, f32, _> = dev.tensor([1.0, 2.0]);
/// let (traced, gradient) = keep_gradient(x.trace(model.alloc_grads()));
/// let (gradients, _) = try_backward(model.forward(traced).sum())?;
/// // The gradient of `w x + b` is `w`.
/// let [weights] = model.weight.array();
/// assert_eq!(gradient.get().map(|gradient| gradient.array()), Some(weights));
/// # let _ = gradients;
/// # Ok::<(), neuralode_runtime::SolveError>(())
/// ```
pub fn keep_gradient<S: Shape, E: Dtype, D: Device<E>>(
    x: Tensor<S, E, D, OwnedTape<E, D>>,
) -> (Tensor<S, E, D, OwnedTape<E, D>>, KeptGradient<S, E, D>) {
    let kept = Rc::new(OnceCell::new());
    let (x, mut tape) = x.split_tape();
    let (place, same) = (Rc::clone(&kept), x.retaped::<NoneTape>());
    // What comes after this on the tape comes before it on the way back.
    tape.add_backward_op(move |gradients| {
        gradients.try_alloc_for(&same)?;
        let _ = place.set(gradients.get(&same));
        Ok(())
    });
    (x.put_tape(tape), KeptGradient(kept))
}
