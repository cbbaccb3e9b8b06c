//! Layers with state as the kernels of layers without: what a field frozen at a state does to its parameters.

use dfdx::{shapes::Dtype, tensor_ops::Device};

use crate::{
    engine::tensor::{scalar, to_f64},
    error::SolveError,
};

use super::{BatchNorm, BatchNormState, Dropout, DropoutState, Mode};

/// A layer whose state, where it is constant, goes into the parameters of a layer without state.
///
/// Parameters are numbers in the order in which dfdx visits the layer's tensors.
pub trait Fold<S, E> {
    /// Turns the layer's parameters into those of its kernels at `state`, in place. Whether that is possible: not in
    /// training, where the output depends on more than the sample itself.
    ///
    /// # Errors
    /// [`SolveError::InvalidSetting`] for settings outside of their domains.
    fn try_fold(&self, mode: Mode, state: &S, params: &mut [E]) -> Result<bool, SolveError>;

    /// Turns the cotangent of the kernels' parameters into that of the layer's, in place.
    fn unfold(&self, state: &S, bars: &mut [E]);
}

/// `(x - mean) r weight + bias` is `x (r weight) + (bias - mean r weight)`, where `r = 1 / sqrt(variance + epsilon)`: the
/// kernels of [`super::Scale`].
impl<const C: usize, E: Dtype, D: Device<E>> Fold<BatchNormState<C, E, D>, E>
    for BatchNorm<C, E, D>
{
    fn try_fold(
        &self,
        mode: Mode,
        state: &BatchNormState<C, E, D>,
        params: &mut [E],
    ) -> Result<bool, SolveError> {
        self.check_settings()?;
        if mode == Mode::Training {
            return Ok(false);
        }
        self.each_channel(state, params, |mean, r, weight, bias| {
            *weight *= r;
            *bias -= mean * *weight;
        });
        Ok(true)
    }

    fn unfold(&self, state: &BatchNormState<C, E, D>, bars: &mut [E]) {
        self.each_channel(state, bars, |mean, r, weight, bias| {
            *weight = r * (*weight - mean * *bias);
        });
    }
}

impl<const C: usize, E: Dtype, D: Device<E>> BatchNorm<C, E, D> {
    /// Calls `change` with mean, inverse deviation, and the numbers of weight and bias of each channel.
    fn each_channel(
        &self,
        state: &BatchNormState<C, E, D>,
        params: &mut [E],
        change: impl Fn(f64, f64, &mut f64, &mut f64),
    ) {
        let (weights, biases) = params.split_at_mut(C.min(params.len()));
        let statistics = state.mean.as_vec().into_iter().zip(state.variance.as_vec());
        for ((weight, bias), (mean, variance)) in weights.iter_mut().zip(biases).zip(statistics) {
            let r = 1.0 / (to_f64(variance) + self.epsilon).sqrt();
            let (mut changed_weight, mut changed_bias) = (to_f64(*weight), to_f64(*bias));
            change(to_f64(mean), r, &mut changed_weight, &mut changed_bias);
            *weight = scalar(changed_weight);
            *bias = scalar(changed_bias);
        }
    }
}

/// Nothing happens in inference.
impl<E> Fold<DropoutState, E> for Dropout {
    fn try_fold(&self, mode: Mode, _: &DropoutState, _: &mut [E]) -> Result<bool, SolveError> {
        self.check_settings()?;
        Ok(mode == Mode::Inference)
    }

    fn unfold(&self, _: &DropoutState, _: &mut [E]) {}
}
