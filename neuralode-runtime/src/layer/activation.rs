//! Activations: scalar functions applied to every feature.

use core::fmt;

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::Device,
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
    /// `max(x, 0)`
    Relu => |x| x.try_relu();
    /// `1 / (1 + exp(-x))`
    Sigmoid => |x| x.try_sigmoid();
    /// `sin(x)`
    Sin => |x| x.try_sin();
}
