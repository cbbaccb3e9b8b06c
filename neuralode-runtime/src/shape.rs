//! Shape checks of constants that the macro cannot evaluate, with messages of their own.

/// An edge between two layers: `O` features leave the first, `I` enter the second.
///
/// Implemented for equal numbers only; generated code names it at the user's token, so that the compiler
/// reports a mismatch there and with both numbers.
#[diagnostic::on_unimplemented(
    message = "this layer takes {I} inputs, but the one before it produces {O}",
    label = "expects {I}, found {O}"
)]
pub trait Feeds<const O: usize, const I: usize> {}

/// Between the layers of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Chain;

impl<const N: usize> Feeds<N, N> for Chain {}

/// The shape of `dy/dt`: a field that takes `I` features must return `O = I`.
#[diagnostic::on_unimplemented(
    message = "a vector field must return the shape of its state: the state has {I} features, but the last layer produces {O}",
    label = "expects {I}, found {O}"
)]
pub trait ReturnsState<const O: usize, const I: usize> {}

impl<const N: usize> ReturnsState<N, N> for Chain {}

/// A width that a layer can have.
#[diagnostic::on_unimplemented(
    message = "a width of 0 leaves no features",
    label = "expects at least 1, found 0"
)]
pub trait Positive<const IS_POSITIVE: bool> {}

impl Positive<true> for Chain {}

/// Compiles only if `O` features feed a layer of `I` inputs.
pub const fn assert_feeds<const O: usize, const I: usize>()
where
    Chain: Feeds<O, I>,
{
}

/// Compiles only if a field returns the shape of its state.
pub const fn assert_returns_state<const O: usize, const I: usize>()
where
    Chain: ReturnsState<O, I>,
{
}

/// Compiles only for a width above zero.
pub const fn assert_positive<const IS_POSITIVE: bool>()
where
    Chain: Positive<IS_POSITIVE>,
{
}
