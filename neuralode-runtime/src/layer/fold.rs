//! Layers with state as the kernels of layers without: what a field frozen at a state does to its parameters.

use dfdx::{shapes::Dtype, tensor_ops::Device};

use crate::{
    engine::tensor::{scalar, to_f64},
    error::SolveError,
};

use super::{BatchNorm, BatchNormState, Dropout, DropoutState};

/// A layer whose state, in inference, goes into the parameters of a layer without state. In training the output of these
/// layers depends on more than the sample itself, and no kernel knows that.
///
/// Parameters are numbers in the order in which dfdx visits the layer's tensors; as many leave as enter. The cost is that of
/// one pass over them, once per solve.
pub trait Fold<S, E> {
    /// Turns the layer's parameters into those of its kernels at `state`, in place.
    ///
    /// # Errors
    /// [`SolveError::InvalidSetting`] for settings outside of their domains.
    fn try_fold(&self, state: &S, params: &mut [E]) -> Result<(), SolveError>;

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
        state: &BatchNormState<C, E, D>,
        params: &mut [E],
    ) -> Result<(), SolveError> {
        self.check_settings()?;
        self.each_channel(state, params, |mean, r, weight, bias| {
            *weight *= r;
            *bias -= mean * *weight;
        });
        Ok(())
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
    fn try_fold(&self, _: &DropoutState, _: &mut [E]) -> Result<(), SolveError> {
        self.check_settings()
    }

    fn unfold(&self, _: &DropoutState, _: &mut [E]) {}
}
