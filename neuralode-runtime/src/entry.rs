//! Where a model's tape begins: at its input, or at its first layer with parameters.

use core::{cell::Cell, fmt, marker::PhantomData};

use dfdx::{
    shapes::{Const, Dim, Dtype, Shape},
    tensor::{Gradients, NoneTape, OwnedTape, Tape, Tensor, Trace},
    tensor_ops::Device,
};

use crate::{
    check::finite_input,
    error::SolveError,
    layer::{Activation, Dense, Input},
};

/// How an input enters a model. Generated models have one forward pass for all ways.
pub trait Entry<E: Dtype, D: Device<E>>: Sized {
    /// The tape before the first layer with parameters.
    type Before: Tape<E, D>;
    /// The tape from there on.
    type After: Tape<E, D>;

    /// Whether a backward pass must give a gradient for the input.
    const INPUT_GRADIENT: bool;

    /// Puts the tape on what enters the first layer with parameters.
    fn enter<S: Shape>(self, x: Tensor<S, E, D, Self::Before>) -> Tensor<S, E, D, Self::After>;
}

/// An input that brings its tape, or none.
pub struct AsGiven<T>(PhantomData<T>);

impl<T> AsGiven<T> {
    /// The entry.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T> Default for AsGiven<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for AsGiven<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AsGiven")
    }
}

impl<E: Dtype, D: Device<E>, T: Tape<E, D>> Entry<E, D> for AsGiven<T> {
    type Before = T;
    type After = T;

    const INPUT_GRADIENT: bool = true;

    fn enter<S: Shape>(self, x: Tensor<S, E, D, T>) -> Tensor<S, E, D, T> {
        x
    }
}

/// An input that is data: the tape, with these gradients, begins behind it.
#[derive(Debug)]
pub struct Data<E: Dtype, D: Device<E>>(Gradients<E, D>);

impl<E: Dtype, D: Device<E>> Data<E, D> {
    /// An entry whose tape adds to `gradients`.
    pub const fn new(gradients: Gradients<E, D>) -> Self {
        Self(gradients)
    }
}

impl<E: Dtype, D: Device<E>> Entry<E, D> for Data<E, D> {
    type Before = NoneTape;
    type After = OwnedTape<E, D>;

    const INPUT_GRADIENT: bool = false;

    fn enter<S: Shape>(self, x: Tensor<S, E, D>) -> Tensor<S, E, D, OwnedTape<E, D>> {
        x.traced(self.0)
    }
}

/// Applies the first layer with parameters, a dense one. With `check` it makes sure on the way that all numbers
/// of its input are finite: it reads them anyhow.
///
/// # Errors
/// [`SolveError::NonFinite`], and [`SolveError::Device`] if the device fails.
pub fn enter_dense<const I: usize, const O: usize, A, B, E, D, N, Init>(
    entry: N,
    layer: &Dense<I, O, A, E, D, Init>,
    x: Tensor<(B, Const<I>), E, D, N::Before>,
    check: bool,
) -> Result<Tensor<(B, Const<O>), E, D, N::After>, SolveError>
where
    A: Activation,
    B: Dim,
    E: Dtype,
    D: Device<E>,
    N: Entry<E, D>,
{
    let untaped = x.retaped::<NoneTape>();
    let finite = Cell::new(None);
    let input = Input {
        gradient: N::INPUT_GRADIENT,
        finite: check.then_some(&finite),
    };
    let y = layer
        .try_forward_from(entry.enter(x), input)
        .map_err(SolveError::device)?;
    if check && finite.get() != Some(true) {
        finite_input(&untaped)?;
    }
    Ok(y)
}
