//! Activations: scalar functions applied to every feature.

use core::fmt;

use dfdx::{
    nn::{Module, NonMutableModule, ZeroSizedModule},
    shapes::{Dtype, Shape},
    tensor::{NoneTape, PutTape, Tape, Tensor, WithEmptyTape},
    tensor_ops::{ChooseFrom, Device, TryAdd, TryDiv, TryEq, TryGt, TryLe, TryLt, TryMul, TrySub},
};

use crate::engine::{host::activation::TileActivation, tensor::scalar};

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
    /// `x` right of zero, `x / 100` elsewhere, and NaN where `x` is NaN
    ///
    /// A. L. Maas, A. Y. Hannun, A. Y. Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013
    /// Workshop on Deep Learning for Audio, Speech and Language Processing.
    LeakyRelu => |x| {
        let right = x.try_gt(E::default())?;
        let left = x.with_empty_tape().try_mul(scalar::<E>(LeakyRelu::SLOPE))?;
        right.try_choose(x, left)
    };
    /// `x` right of zero, `exp(x) - 1` elsewhere
    ///
    /// D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and accurate deep network learning by exponential linear units
    /// (ELUs)", ICLR 2016, arXiv:1511.07289.
    Elu => |x| elu(x);
    /// `x Phi(x)`, `Phi` the distribution function of the normal distribution: the exact function, by `erf`
    ///
    /// D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415.
    Gelu => |x| gelu(x);
    /// `x / (1 + exp(-x))`
    ///
    /// S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function approximation in
    /// reinforcement learning", Neural Networks 107 (2018), arXiv:1702.03118.
    Silu => |x| silu(x);
    /// `log(1 + exp(x))`, and `x` where `exp(x)` would overflow
    ///
    /// C. Dugas, Y. Bengio, F. Belisle, C. Nadeau, R. Garcia, "Incorporating second-order functional knowledge for better
    /// option pricing", NIPS 2000.
    Softplus => |x| softplus(x);
}

impl LeakyRelu {
    /// The derivative left of zero, and at zero.
    pub const SLOPE: f64 = 0.01;
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

/// `max(x, 0) + log(1 + e)` with `e = exp(-|x|)`. What rounding takes from `w = 1 + e` is added to the logarithm, so that
/// the left tail keeps its digits: `(e - (w - 1)) / w`.
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
