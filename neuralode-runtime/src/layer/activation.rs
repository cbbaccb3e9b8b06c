//! Activations: scalar functions applied to every feature.

use core::fmt;

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{NoneTape, PutTape, Tape, Tensor, WithEmptyTape},
    tensor_ops::{ChooseFrom, Device, TryAdd, TryDiv, TryEq, TryGt, TryLe, TryLt, TryMul, TrySub},
};

use crate::tensor::scalar;
use neuralode_core::kernel::activation::TileActivation;
pub use neuralode_core::kernel::activation::{
    Elu, Gelu, Identity, LeakyRelu, Relu, Sigmoid, Silu, Sin, Softplus, Tanh,
};

/// A scalar function of type `A` that [`crate::layer::Dense`] applies after its affine map, and that a model may
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
    ($($name:ident => |$x:ident| $apply:expr;)*) => {$(
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
    )*};
}

activations! {
    Identity => |x| Ok(x);
    Tanh => |x| x.try_tanh();
    Relu => |x| {
        // dfdx's own operation maps NaN to zero, which would hide a broken weight.
        let zero: Tensor<S, E, D, T> = x.device().try_zeros_like(&x)?.put_tape(T::default());
        x.try_le(E::default())?.try_choose(zero, x)
    };
    Sigmoid => |x| x.try_sigmoid();
    Sin => |x| x.try_sin();
    LeakyRelu => |x| {
        let right = x.try_gt(E::default())?;
        let left = x.with_empty_tape().try_mul(scalar::<E>(LeakyRelu::SLOPE))?;
        right.try_choose(x, left)
    };
    Elu => |x| elu(x);
    Gelu => |x| gelu(x);
    Silu => |x| silu(x);
    Softplus => |x| softplus(x);
}

/// An activation as a layer of its own: `y = A(x)`, whatever the shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pointwise<A>(pub A);

impl<A: Activation> ZeroSizedModule for Pointwise<A> {}
impl<A: Activation> NonMutableModule for Pointwise<A> {}

impl<A: Activation, S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>> Module<Tensor<S, E, D, T>>
    for Pointwise<A>
{
    type Output = Tensor<S, E, D, T>;
    type Error = D::Err;

    fn try_forward(&self, x: Tensor<S, E, D, T>) -> Result<Self::Output, D::Err> {
        A::try_apply(x)
    }
}

/// `value` in the shape of `x`, on a tape of its own.
fn constant<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: &Tensor<S, E, D, T>,
    value: f64,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let zeros = x.device().try_zeros_like(x)?;
    Ok(zeros.try_add(scalar::<E>(value))?.put_tape(T::default()))
}

/// `x`, but zero below `-far` and above `far`, where a function is constant or linear: what is infinite there would
/// make its gradient NaN.
fn between<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    far: f64,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let (left, right) = (x.try_lt(scalar::<E>(-far))?, x.try_gt(scalar::<E>(far))?);
    let zero = constant(&x, 0.0)?;
    let x = left.try_choose(zero.with_empty_tape(), x)?;
    right.try_choose(zero, x)
}

/// With `t = tanh(x / 2)`, `exp(x) - 1 = 2 t / (1 - t)`, which keeps its digits near zero.
fn elu<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let right = x.try_gt(E::default())?;
    let zero = constant(&x, 0.0)?;
    let left = right.clone().try_choose(zero, x.with_empty_tape())?;
    let t = left.try_mul(scalar::<E>(0.5))?.try_tanh()?;
    let rest = t.with_empty_tape().try_negate()?.try_add(E::ONE)?;
    let left = t.try_mul(scalar::<E>(2.0))?.try_div(rest)?;
    right.try_choose(x, left)
}

/// dfdx's own operation has a wrong derivative, with `phi` too large by the square root of two. Its value is right, and
/// what is added to it here is zero and has the derivative `Phi(x) + x phi(x)`.
fn gelu<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    const FAR: f64 = 40.0;
    const PEAK: f64 = 0.398_942_280_401_432_7;
    let right = x.try_gt(scalar::<E>(FAR))?;
    let middle = between(x.with_empty_tape(), FAR)?;
    let at = middle.retaped::<NoneTape>();
    let value = at.clone().try_accurate_gelu()?;
    let half = constant(&at, 0.5)?;
    let quotient = value.clone().try_div(at.clone())?;
    let below = at.try_eq(E::default())?.try_choose(half, quotient)?;
    let exponent = at.clone().try_square()?.try_mul(scalar::<E>(-0.5))?;
    let density = exponent.try_exp()?.try_mul(scalar::<E>(PEAK))?;
    let derivative = density.try_mul(at.clone())?.try_add(below)?;
    let same = derivative.clone().try_mul(at)?;
    let linear = middle.try_mul(derivative.put_tape(T::default()))?;
    let zero = linear.try_sub(same.put_tape(T::default()))?;
    let value = zero.try_add(value.put_tape(T::default()))?;
    right.try_choose(x, value)
}

fn silu<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    const FAR: f64 = 1000.0;
    let right = x.try_gt(scalar::<E>(FAR))?;
    let middle = between(x.with_empty_tape(), FAR)?;
    let sigmoid = middle.with_empty_tape().try_sigmoid()?;
    right.try_choose(x, middle.try_mul(sigmoid)?)
}

/// `max(x, 0) + log(1 + e)` with `e = exp(-|x|)`. What rounding takes from `w = 1 + e` is added to the logarithm, so
/// that the left tail keeps its digits: `(e - (w - 1)) / w`.
fn softplus<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let right = x.try_gt(E::default())?;
    let turned = x.with_empty_tape().try_negate()?;
    let magnitude = right.clone().try_choose(turned, x.with_empty_tape())?;
    let e = magnitude.try_exp()?;
    let e_alone = e.retaped::<NoneTape>();
    let w = e.try_add(E::ONE)?;
    let w_alone = w.retaped::<NoneTape>();
    let lost = e_alone.try_sub(w_alone.clone().try_sub(E::ONE)?)?;
    let lost = lost.try_div(w_alone)?.put_tape(T::default());
    let logarithm = w.try_ln()?.try_add(lost)?;
    let zero = constant(&x, 0.0)?;
    // A NaN is not right of zero, and in the logarithm.
    right.try_choose(x, zero)?.try_add(logarithm)
}
