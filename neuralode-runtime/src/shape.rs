//! Shape checks of constants that the macro cannot evaluate, with messages of their own.

/// An edge between two layers: a layer of `I` inputs after `O` features.
///
/// Implemented for equal numbers only; generated code names it at the user's token, so that the compiler
/// reports a mismatch there and with both numbers.
#[diagnostic::on_unimplemented(
    message = "this layer takes {I} inputs, but {O} features enter it",
    label = "expected {O}, found {I}",
    note = "write `{O}` here, a constant of that value, or `_` to infer it"
)]
pub trait Feeds<const I: usize, const O: usize> {}

/// Between the layers of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Chain;

impl<const N: usize> Feeds<N, N> for Chain {}

/// The shape of `dy/dt`: a field that takes `I` features must return `O = I`.
#[diagnostic::on_unimplemented(
    message = "a field must return the shape of its state: the state has {I} features, but the last layer produces {O}",
    label = "expected {I}, found {O}",
    note = "write `{I}` here, or a constant of that value"
)]
pub trait ReturnsState<const O: usize, const I: usize> {}

impl<const N: usize> ReturnsState<N, N> for Chain {}

/// A width that a layer can have.
#[diagnostic::on_unimplemented(
    message = "expected a positive integer, found a constant of 0",
    label = "expected at least 1, found 0",
    note = "give the constant a value such as `20`"
)]
pub trait Positive<const IS_POSITIVE: bool> {}

impl Positive<true> for Chain {}

/// Compiles only if `O` features feed a layer of `I` inputs.
pub const fn assert_feeds<const I: usize, const O: usize>()
where
    Chain: Feeds<I, O>,
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
