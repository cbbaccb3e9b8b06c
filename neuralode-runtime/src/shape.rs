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

/// A residual layer, which adds what enters it: `I` features must leave it as `O = I`.
#[diagnostic::on_unimplemented(
    message = "a `Residual` must return what enters it: it takes {I} features, but the last layer produces {O}",
    label = "expected {I}, found {O}",
    note = "write `{I}` here, or a constant of that value"
)]
pub trait ReturnsInput<const O: usize, const I: usize> {}

impl<const N: usize> ReturnsInput<N, N> for Chain {}

/// A shape of `O` scalars for one of `I = O`.
#[diagnostic::on_unimplemented(
    message = "a shape of {O} scalars cannot hold the {I} that enter it",
    label = "expected {I}, found {O}",
    note = "write sizes whose product is the same"
)]
pub trait Holds<const O: usize, const I: usize> {}

impl<const N: usize> Holds<N, N> for Chain {}

/// The first `O` of `I` features.
#[diagnostic::on_unimplemented(
    message = "`Project` keeps {O} features, but only {I} enter it",
    label = "expected at most {I}, found {O}",
    note = "write a number up to {I}"
)]
pub trait Keeps<const O: usize, const I: usize, const IS_PART: bool> {}

impl<const O: usize, const I: usize> Keeps<O, I, true> for Chain {}

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

/// Compiles only if a residual layer returns as many features as enter it.
pub const fn assert_returns_input<const O: usize, const I: usize>()
where
    Chain: ReturnsInput<O, I>,
{
}

/// Compiles only if a shape holds as many scalars as another.
pub const fn assert_holds<const O: usize, const I: usize>()
where
    Chain: Holds<O, I>,
{
}

/// Compiles only if there are features enough to keep.
pub const fn assert_keeps<const O: usize, const I: usize, const IS_PART: bool>()
where
    Chain: Keeps<O, I, IS_PART>,
{
}
