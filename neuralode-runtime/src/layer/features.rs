//! Layers that add or drop features, and hold no parameters.

use dfdx::{
    nn::{NonMutableModule, ZeroSizedModule},
    shapes::{Axis, Const, Dim, Dtype},
    tensor::{PutTape, Tape, Tensor},
    tensor_ops::{Device, ReshapeTo, TryAdd, TryConcatAlong},
};

use neuralode_core::ode::error::SolveError;

macro_rules! marks {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        pub struct $name;

        impl ZeroSizedModule for $name {}
        impl NonMutableModule for $name {}
    )*};
}

marks! {
    /// Zeros behind the features of a sample: a larger state in which trajectories that would have to cross can pass
    /// each other. The mark of the place; [`resize`] does the work.
    ///
    /// E. Dupont, A. Doucet, Y. W. Teh, "Augmented Neural ODEs", `NeurIPS` 2019, arXiv:1904.01681.
    Augment;
    /// The first features of a sample: what is left of an augmented state. The mark of the place; [`resize`] does the
    /// work.
    Project;
    /// The time as one more feature of a sample. The mark of the place; [`append_time`] does the work.
    AppendTime;
}

/// The first features of `x` in the shape `to`: those that have no room are left out, those that are missing are
/// zero.
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn resize<B: Dim, const I: usize, const O: usize, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(B, Const<I>), E, D, T>,
    to: (B, Const<O>),
) -> Result<Tensor<(B, Const<O>), E, D, T>, SolveError> {
    if O < I {
        let batch = to.0.size();
        let x = x
            .try_reshape_like(&(batch, I))
            .map_err(SolveError::device)?;
        let x = x.try_slice((0..batch, 0..O)).map_err(SolveError::device)?;
        x.try_reshape_like(&to).map_err(SolveError::device)
    } else {
        extend(x, to, E::default())
    }
}

/// `x` in the shape `to`, whose further features are the time `t`.
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn append_time<
    B: Dim,
    const I: usize,
    const O: usize,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
>(
    t: f64,
    x: Tensor<(B, Const<I>), E, D, T>,
    to: (B, Const<O>),
) -> Result<Tensor<(B, Const<O>), E, D, T>, SolveError> {
    extend(x, to, crate::tensor::scalar(t))
}

/// `x` in the shape `to`, with `value` for its further features.
fn extend<B: Dim, const I: usize, const O: usize, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<(B, Const<I>), E, D, T>,
    to: (B, Const<O>),
    value: E,
) -> Result<Tensor<(B, Const<O>), E, D, T>, SolveError> {
    let device = x.device().clone();
    let batch = to.0.size();
    let extended = || {
        let x = x.try_reshape_like(&(batch, I))?;
        let new: Tensor<(usize, usize), E, D> =
            device.try_zeros_like(&(batch, O.saturating_sub(I)))?;
        let new = new.try_add(value)?;
        let x = (x, new.put_tape(T::default())).try_concat_along(Axis::<1>)?;
        x.try_reshape_like(&to)
    };
    extended().map_err(SolveError::device)
}
