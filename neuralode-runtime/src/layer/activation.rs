//! Activations: scalar functions applied to every feature.

use core::fmt;

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{PutTape, Tape, Tensor},
    tensor_ops::{ChooseFrom, Device, TryLe},
};

/// A scalar function of type `A` that [`super::Dense`] applies after its affine map, and that a model may
/// use as a layer of its own.
pub trait Activation: 'static + Copy + Default + fmt::Debug + Send + Sync {
    /// Applies the function to every scalar of `x`.
    ///
    /// # Errors
    /// That of the device.
    fn try_apply<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        x: Tensor<S, E, D, T>,
    ) -> Result<Tensor<S, E, D, T>, D::Err>;
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => |$x:ident| $apply:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name;

        impl Activation for $name {
            fn try_apply<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
                $x: Tensor<S, E, D, T>,
            ) -> Result<Tensor<S, E, D, T>, D::Err> {
                $apply
            }
        }

        impl ZeroSizedModule for $name {}
        impl NonMutableModule for $name {}

        impl<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>> Module<Tensor<S, E, D, T>> for $name {
            type Output = Tensor<S, E, D, T>;
            type Error = D::Err;

            fn try_forward(&self, x: Tensor<S, E, D, T>) -> Result<Self::Output, D::Err> {
                Self::try_apply(x)
            }
        }
    )*};
}

activations! {
    /// `x`
    Identity => |x| Ok(x);
    /// `tanh(x)`
    Tanh => |x| x.try_tanh();
    /// `max(x, 0)`, and NaN where `x` is NaN
    Relu => |x| {
        // dfdx's own operation maps NaN to zero, which would hide a broken weight.
        let zero: Tensor<S, E, D, T> = x.device().try_zeros_like(&x)?.put_tape(T::default());
        x.try_le(E::default())?.try_choose(zero, x)
    };
    /// `1 / (1 + exp(-x))`
    Sigmoid => |x| x.try_sigmoid();
    /// `sin(x)`
    Sin => |x| x.try_sin();
}
