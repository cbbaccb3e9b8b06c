//! Layers that carry state from call to call, and layers of a user's own.

use core::fmt;

use dfdx::{
    nn::TensorCollection,
    shapes::{Const, Dim, Dtype},
    tensor::{Cpu, Tape, Tensor},
    tensor_ops::Device,
};

use neuralode_core::ode::error::SolveError;

/// What a call of a model is for. Layers such as [`crate::layer::Dropout`] and [`crate::layer::BatchNorm`] differ
/// between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Parameters are being fitted: dropout drops, batch statistics are taken and remembered.
    Training,
    /// The model is used: the same input gives the same output, and state stays as it is.
    Inference,
}

/// What a layer is called with, besides its input.
#[derive(Debug)]
pub struct Call<'s, S> {
    /// The time inside of a vector field; 0 elsewhere.
    pub t: f64,
    /// What the call is for.
    pub mode: Mode,
    /// The state that enters.
    pub state: &'s S,
}

/// A layer that a model may hold: those of this library with state, and any of yours, as `Custom(path::Type)`.
///
/// The state enters a call and leaves it as a value of a type that the compiler knows; a layer changes nothing behind
/// anybody's back. Inside of a vector field the state is frozen for one solve, so that the field is a function of time
/// and `y`; it advances once per solve, by a call at the start.
///
/// The parameters are the tensors that [`TensorCollection`] visits. It also makes the layer: settings of a layer of
/// your own are constant generic parameters, or values that you change afterwards.
///
/// # Shapes
/// `(B, I)` to `(B, O)`: a sample of several axes comes flattened, in the order of its scalars.
///
/// # Examples
/// Features times a learned factor, and a count of the calls:
/// ```
/// use dfdx::{nn::TensorOptions, prelude::*};
/// use neuralode_runtime::{
///     layer::{Call, Layer},
///     SolveError,
/// };
///
/// #[derive(Clone, Debug)]
/// struct Gain<E: Dtype, D: Device<E>> {
///     factor: Tensor<Rank0, E, D>,
/// }
///
/// impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Gain<E, D> {
///     type To<E2: Dtype, D2: Device<E2>> = Gain<E2, D2>;
///     fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
///         visitor: &mut V,
///     ) -> Result<Option<Gain<V::E2, V::D2>>, V::Err> {
///         visitor.visit_fields(
///             Self::tensor(
///                 "factor",
///                 |s| &s.factor,
///                 |s| &mut s.factor,
///                 TensorOptions::reset_to_ones(),
///             ),
///             |factor| Gain { factor },
///         )
///     }
/// }
///
/// impl<const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D> for Gain<E, D> {
///     type State = u64;
///
///     fn try_initial_state(&self, _seed: u64) -> Result<u64, SolveError> {
///         Ok(0)
///     }
///
///     fn try_forward<B: Dim, T: Tape<E, D>>(
///         &self,
///         call: Call<'_, u64>,
///         x: Tensor<(B, Const<N>), E, D, T>,
///     ) -> Result<(Tensor<(B, Const<N>), E, D, T>, u64), SolveError> {
///         let factor = self.factor.retaped::<T>();
///         let factor = factor.try_broadcast_like(x.shape()).map_err(SolveError::device)?;
///         let y = x.try_mul(factor).map_err(SolveError::device)?;
///         Ok((y, call.state + 1))
///     }
/// }
///
/// let dev = Cpu::default();
/// let gain = Gain { factor: dev.tensor(3.0) };
/// let x: Tensor<Rank2<1, 2>, f64, _> = dev.tensor([[1.0, 2.0]]);
/// let call = Call { t: 0.0, mode: neuralode_runtime::layer::Mode::Inference, state: &0 };
/// let (y, calls) = gain.try_forward(call, x)?;
/// assert_eq!((y.array(), calls), ([[3.0, 6.0]], 1));
/// # Ok::<(), SolveError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer from {I} to {O} features",
    label = "expected a type that implements `neuralode::layer::Layer<{I}, {O}, _, _>`",
    note = "implement it for every dtype and device, or write the number of features that it returns: `Custom(path::Type => 16)`"
)]
pub trait Layer<const I: usize, const O: usize, E: Dtype, D: Device<E>>:
    TensorCollection<E, D> + Clone + fmt::Debug + 'static
{
    /// What goes from one call to the next; `()` for none. On `Cpu` it must be `Send`, which the macro makes sure of.
    type State: Clone + fmt::Debug + 'static;

    /// Whether the layer may stand in a vector field. A layer that is another function of `x` in training than in
    /// inference, as [`crate::layer::BatchNorm`] is, says `false`: training would fit another field than inference
    /// solves.
    const IN_FIELDS: bool = true;

    /// The state before the first call. Layers that draw random numbers draw them from `seed`, which a model makes
    /// different for each of its layers.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn try_initial_state(&self, seed: u64) -> Result<Self::State, SolveError>;

    /// The layer's output, and the state for the next call.
    ///
    /// The output is a differentiable function of `x` and of the parameters, made of dfdx's operations; the next state
    /// has no part in any gradient.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails, and what the layer has of its own.
    #[allow(
        clippy::type_complexity,
        reason = "an output and a state, both named in full"
    )]
    fn try_forward<B: Dim, T: Tape<E, D>>(
        &self,
        call: Call<'_, Self::State>,
        x: Tensor<(B, Const<I>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<O>), E, D, T>, Self::State), SolveError>;
}

/// A layer of a user's own, as generated code names it.
///
/// `CHECKED` is a constant whose value says that the type is a layer. Where it is none, evaluating the constant is the
/// error, at the user's path; what has the constant in its type is then unknown to the compiler, which says no more
/// of it.
pub trait Checked<const CHECKED: usize, const I: usize, const O: usize, E: Dtype, D: Device<E>> {
    /// The type itself.
    type Itself;
    /// The type of its state.
    type State;
}

impl<const CHECKED: usize, const I: usize, const O: usize, E: Dtype, D: Device<E>, L>
    Checked<CHECKED, I, O, E, D> for L
where
    L: Layer<I, O, E, D>,
{
    type Itself = L;
    type State = L::State;
}

/// Compiles for any type that is named with the parameters that it has; the value is of no interest.
pub const fn check_name<L>() -> usize {
    0
}

/// A layer whose state can go to another thread, if `NAMED` says that its name is right. Where that is an error,
/// nothing is said of the type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer from {I} to {O} features",
    label = "expected a type that implements `neuralode::layer::Layer<{I}, {O}, _, _>`",
    note = "implement it for every dtype and device, or write the number of features that it returns: `Custom(path::Type => 16)`"
)]
pub trait NamedLayer<const NAMED: usize, const I: usize, const O: usize> {}

impl<const NAMED: usize, const I: usize, const O: usize, L> NamedLayer<NAMED, I, O> for L where
    L: Layer<I, O, f32, Cpu, State: Send>
{
}

/// Compiles only for such a layer; the value is of no interest.
pub const fn check_layer<const NAMED: usize, L, const I: usize, const O: usize>() -> usize
where
    L: NamedLayer<NAMED, I, O>,
{
    0
}

/// Compiles only for a layer that may stand in a vector field; the value is of no interest.
#[must_use]
#[track_caller]
#[allow(clippy::missing_panics_doc, reason = "while compiling alone")]
pub const fn check_field_layer<const NAMED: usize, L, const I: usize, const O: usize>() -> usize
where
    L: NamedLayer<NAMED, I, O> + Layer<I, O, f32, Cpu>,
{
    assert!(
        L::IN_FIELDS,
        "this layer cannot stand in a field: training and inference would solve different ones; put it in a stage \
         before or after the block"
    );
    0
}

/// States that say nothing: those of models whose layers have none.
#[diagnostic::on_unimplemented(
    message = "a layer of this model has state, which must go into the call and come out of it",
    label = "`{Self}` is not empty",
    note = "start with `model.initial_state(seed)`, and call `model.try_forward_with_state(x, &state, mode)`"
)]
pub trait Stateless {
    /// The only value.
    fn none() -> Self;
}

macro_rules! stateless {
    ($($part:ident)*) => {
        impl<$($part: Stateless),*> Stateless for ($($part,)*) {
            fn none() -> Self {
                ($($part::none(),)*)
            }
        }
    };
}

impl Stateless for () {
    fn none() -> Self {}
}

// As long as the tuples of generated code.
stateless!(A B);
stateless!(A B C);
stateless!(A B C G);
stateless!(A B C G H);
stateless!(A B C G H K);

/// The seed of the layer number `layer` of a model, or of a field, whose seed is `seed`: the output number `layer` of
/// the generator `SplitMix64`.
///
/// G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
/// DOI 10.1145/2660193.2660195.
pub const fn seed_of(seed: u64, layer: u64) -> u64 {
    let step = layer.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bits = seed.wrapping_add(step);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Compiles only if `T` is a value of known size that can go to another thread.
pub const fn assert_sendable<T: Send + Sized + 'static>() {}
