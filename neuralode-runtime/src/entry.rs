//! Where a model's tape begins: at its input, or at its first layer with parameters.

use core::{cell::Cell, fmt, marker::PhantomData};

use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Rank0, Shape},
    tensor::{Gradients, NoneTape, OwnedTape, SplitTape, Tape, Tensor, Trace},
    tensor_ops::{Device, ReshapeTo},
};

use crate::{
    check::finite_input,
    layer::{Activation, Dense, Input},
    samples::{Samples, Shaped},
};
use neuralode_core::ode::error::SolveError;

/// How an input enters a model. Generated models have one forward pass for all ways.
pub trait Entry<E: Dtype, D: Device<E>>: Sized {
    /// The tape before the first layer with parameters.
    type Before: Tape<E, D>;
    /// The tape from there on.
    type After: Tape<E, D>;

    /// What enters the model, in the shape `S`.
    type Input<S: Shape>: HasShape<Shape = S>;

    /// `x` in another shape, which holds as many scalars.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn reshape<S: Shape, To: Shape>(
        x: Self::Input<S>,
        to: To,
    ) -> Result<Self::Input<To>, SolveError>;

    /// Applies the first layer with parameters, a dense one. With `check` it makes sure on the way that all numbers
    /// of its input are finite: it reads them anyhow.
    ///
    /// # Errors
    /// [`SolveError::NonFiniteData`], and [`SolveError::Device`] if the device fails.
    fn dense<const I: usize, const O: usize, A: Activation, B: Dim, Init>(
        self,
        layer: &Dense<I, O, A, E, D, Init>,
        x: Self::Input<(B, Const<I>)>,
        check: bool,
    ) -> Result<Tensor<(B, Const<O>), E, D, Self::After>, SolveError>;

    /// Puts the tape on what enters the first layer with parameters.
    fn enter<S: Shape>(self, x: Tensor<S, E, D, Self::Before>) -> Tensor<S, E, D, Self::After>;
}

/// What the entries of tensors have in common; `gradient` says whether a backward pass must give one for the input.
macro_rules! tensors_enter {
    (gradient: $gradient:literal) => {
        type Input<S: Shape> = Tensor<S, E, D, Self::Before>;

        fn reshape<S: Shape, To: Shape>(
            x: Self::Input<S>,
            to: To,
        ) -> Result<Self::Input<To>, SolveError> {
            x.try_reshape_like(&to).map_err(SolveError::device)
        }

        fn dense<const I: usize, const O: usize, A: Activation, B: Dim, Init>(
            self,
            layer: &Dense<I, O, A, E, D, Init>,
            x: Self::Input<(B, Const<I>)>,
            check: bool,
        ) -> Result<Tensor<(B, Const<O>), E, D, Self::After>, SolveError> {
            enter_tensor(self, $gradient, layer, x, check)
        }
    };
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

    tensors_enter!(gradient: true);

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

    tensors_enter!(gradient: false);

    fn enter<S: Shape>(self, x: Tensor<S, E, D>) -> Tensor<S, E, D, OwnedTape<E, D>> {
        x.traced(self.0)
    }
}

/// What a tape is made of.
pub trait Begin<E: Dtype, D: Device<E>> {
    /// The tape.
    type Tape: Tape<E, D>;

    /// Puts it on a tensor.
    fn put<S: Shape>(self, x: Tensor<S, E, D>) -> Tensor<S, E, D, Self::Tape>;
}

impl<E: Dtype, D: Device<E>> Begin<E, D> for NoneTape {
    type Tape = Self;

    fn put<S: Shape>(self, x: Tensor<S, E, D>) -> Tensor<S, E, D> {
        x
    }
}

impl<E: Dtype, D: Device<E>> Begin<E, D> for Gradients<E, D> {
    type Tape = OwnedTape<E, D>;

    fn put<S: Shape>(self, x: Tensor<S, E, D>) -> Tensor<S, E, D, OwnedTape<E, D>> {
        x.traced(self)
    }
}

/// Samples in memory, which the first dense layer reads there, and what the tape behind it is made of.
#[derive(Debug)]
pub struct InMemory<'s, E, G> {
    samples: &'s Samples<E>,
    begin: G,
}

impl<'s, E: Dtype> InMemory<'s, E, NoneTape> {
    /// An entry without a tape.
    pub const fn new(samples: &'s Samples<E>) -> Self {
        Self {
            samples,
            begin: NoneTape,
        }
    }
}

impl<'s, E: Dtype, D: Device<E>> InMemory<'s, E, Gradients<E, D>> {
    /// An entry whose tape adds to `gradients`.
    pub const fn traced(samples: &'s Samples<E>, gradients: Gradients<E, D>) -> Self {
        Self {
            samples,
            begin: gradients,
        }
    }
}

impl<E: Dtype, T> InMemory<'_, E, T> {
    /// What enters the model in place of a tensor of this shape.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] unless the samples have it, [`SolveError::EmptyBatch`].
    pub fn input<S: Shape>(&self, shape: S) -> Result<Shaped<S>, SolveError> {
        self.samples.check(&shape)?;
        Ok(Shaped(shape))
    }
}

impl<E: Dtype, D: Device<E>, G: Begin<E, D>> Entry<E, D> for InMemory<'_, E, G> {
    type Before = NoneTape;
    type After = G::Tape;
    type Input<S: Shape> = Shaped<S>;

    fn reshape<S: Shape, To: Shape>(_: Shaped<S>, to: To) -> Result<Shaped<To>, SolveError> {
        Ok(Shaped(to))
    }

    fn enter<S: Shape>(self, x: Tensor<S, E, D>) -> Tensor<S, E, D, G::Tape> {
        self.begin.put(x)
    }

    fn dense<const I: usize, const O: usize, A: Activation, B: Dim, Init>(
        self,
        layer: &Dense<I, O, A, E, D, Init>,
        x: Shaped<(B, Const<I>)>,
        check: bool,
    ) -> Result<Tensor<(B, Const<O>), E, D, G::Tape>, SolveError> {
        // dfdx makes a tape on a tensor only.
        let scalar: Tensor<Rank0, E, D> = layer
            .weight
            .device()
            .try_zeros()
            .map_err(SolveError::device)?;
        let (_, tape) = self.begin.put(scalar).split_tape();
        let finite = Cell::new(None);
        let input = Input {
            gradient: false,
            finite: check.then_some(&finite),
        };
        let Shaped(shape) = x;
        let y = layer
            .try_forward_in_memory(self.samples, shape, tape, input)
            .map_err(SolveError::device)?;
        if check && finite.get() != Some(true) {
            self.samples.check_finite()?;
        }
        Ok(y)
    }
}

/// Applies the first layer with parameters, a dense one: see [`Entry::dense`].
fn enter_tensor<const I: usize, const O: usize, A, B, E, D, N, Init>(
    entry: N,
    gradient: bool,
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
        gradient,
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
