//! Activations: scalar functions applied to every feature.

use core::fmt;

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{PutTape, Tape, Tensor},
    tensor_ops::{ChooseFrom, Device, TryLe},
};

use crate::engine::host::kernel::TileActivation;

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

    /// Shows the function's kernel to `visitor`, if there is one. A layer whose activation has none runs
    /// through dfdx's operations everywhere.
    ///
    /// # Errors
    /// The visitor itself, if there is none.
    fn with_kernel<V: ActivationVisitor>(visitor: V) -> Result<V::Output, V> {
        Err(visitor)
    }
}

/// Something to do with the kernel of an activation, whatever its type.
pub trait ActivationVisitor {
    /// Its result.
    type Output;

    /// Does it.
    fn visit<A: TileActivation>(self) -> Self::Output;
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

            fn with_kernel<V: ActivationVisitor>(visitor: V) -> Result<V::Output, V> {
                Ok(visitor.visit::<Self>())
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
