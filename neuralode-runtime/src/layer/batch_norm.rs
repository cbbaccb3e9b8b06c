//! Batch normalisation.

use dfdx::{
    nn::{ModuleVisitor, NonMutableModule, TensorCollection, TensorOptions},
    shapes::{Axes2, Const, Dim, Dtype, HasShape, Rank1},
    tensor::{NoneTape, Tape, Tensor, WithEmptyTape},
    tensor_ops::{BroadcastTo, Device, MeanTo, ReshapeTo, TryAdd, TryDiv, TryMul, TrySub},
};

use crate::{
    layer::stateful::{Call, Layer, Mode},
    tensor::scalar,
};
use neuralode_core::ode::error::SolveError;

/// `(x - mean) / sqrt(variance + epsilon) * weight + bias`, for each of `C` features or channels.
///
/// In training the mean and the (biased) variance are those of the batch, and gradients flow through them; in inference
/// they are the running ones of the state, into which every call in training mixes those of its batch:
/// `running = (1 - momentum) * running + momentum * batch`, with the unbiased variance.
///
/// The macros refuse it inside of a vector field. There training would normalise every evaluation by the statistics of
/// its own batch, which move with `t` and `y`; one mean and one variance for inference stand for none of them. Use
/// [`crate::layer::LayerNorm`] in the field, or this layer in a stage before or after the block.
///
/// # Shapes
/// A sample of `C` features, or of `C` channels of any size, unchanged.
///
/// # Sources
/// S. Ioffe, C. Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate
/// shift", ICML 2015, arXiv:1502.03167.
#[derive(Clone, Debug)]
pub struct BatchNorm<const C: usize, E: Dtype, D: Device<E>> {
    /// Factors, `(C,)`; starts with ones.
    pub weight: Tensor<Rank1<C>, E, D>,
    /// Summands, `(C,)`; starts with zeros.
    pub bias: Tensor<Rank1<C>, E, D>,
    /// The share of the newest batch in the running statistics, from 0 to 1.
    pub momentum: f64,
    /// Added to variances; above 0.
    pub epsilon: f64,
}

/// The running statistics of a [`BatchNorm`].
#[derive(Clone, Debug)]
pub struct BatchNormState<const C: usize, E: Dtype, D: Device<E>> {
    /// Means, `(C,)`; zeros at first.
    pub mean: Tensor<Rank1<C>, E, D>,
    /// Unbiased variances, `(C,)`; ones at first.
    pub variance: Tensor<Rank1<C>, E, D>,
    /// How many batches went into them.
    pub batches: u64,
}

impl<const C: usize, E: Dtype, D: Device<E>> NonMutableModule for BatchNorm<C, E, D> {}

impl<const C: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for BatchNorm<C, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = BatchNorm<C, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            (
                Self::tensor(
                    "weight",
                    |s| &s.weight,
                    |s| &mut s.weight,
                    TensorOptions::reset_to_ones(),
                ),
                Self::tensor(
                    "bias",
                    |s| &s.bias,
                    |s| &mut s.bias,
                    TensorOptions::reset_to_zeros(),
                ),
            ),
            |(weight, bias)| BatchNorm {
                weight,
                bias,
                momentum: 0.1,
                epsilon: 1e-5,
            },
        )
    }
}

/// A batch by samples, channels, and numbers of one channel.
type Channels<const C: usize> = (usize, Const<C>, usize);

impl<const C: usize, E: Dtype, D: Device<E>> BatchNorm<C, E, D> {
    fn check_settings(&self) -> Result<(), SolveError> {
        let (name, found, expected) = if !(0.0..=1.0).contains(&self.momentum) {
            let expected = "a number from 0 to 1, such as 0.1";
            ("momentum", self.momentum, expected)
        } else if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            let expected = "a finite number above 0, such as 1e-5";
            ("epsilon", self.epsilon, expected)
        } else {
            return Ok(());
        };
        Err(SolveError::InvalidSetting {
            layer: "BatchNorm",
            name,
            found,
            expected,
        })
    }

    /// `(1 - momentum) * running + momentum * batch`
    fn mix(
        &self,
        running: &Tensor<Rank1<C>, E, D>,
        batch: Tensor<Rank1<C>, E, D>,
    ) -> Result<Tensor<Rank1<C>, E, D>, D::Err> {
        let old = running.clone().try_mul(scalar::<E>(1.0 - self.momentum))?;
        old.try_add(batch.try_mul(scalar::<E>(self.momentum))?)
    }

    /// `centred / sqrt(variance + epsilon) * weight + bias`
    fn scale<T: Tape<E, D>>(
        &self,
        centred: Tensor<Channels<C>, E, D, T>,
        variance: Tensor<Rank1<C>, E, D, T>,
    ) -> Result<Tensor<Channels<C>, E, D, T>, D::Err> {
        let shape = *centred.shape();
        let deviation = variance.try_add(scalar::<E>(self.epsilon))?.try_sqrt()?;
        let factor = self.weight.retaped::<T>().try_div(deviation)?;
        let factor: Tensor<Channels<C>, E, D, T> = factor.try_broadcast_like(&shape)?;
        let bias = self.bias.retaped::<T>().try_broadcast_like(&shape)?;
        centred.try_mul(factor)?.try_add(bias)
    }

    /// The output in training, with mean and biased variance of the batch.
    #[allow(clippy::type_complexity, reason = "three tensors, named in full")]
    fn by_batch<T: Tape<E, D>>(
        &self,
        x: Tensor<Channels<C>, E, D, T>,
    ) -> Result<
        (
            Tensor<Channels<C>, E, D, T>,
            Tensor<Rank1<C>, E, D>,
            Tensor<Rank1<C>, E, D>,
        ),
        D::Err,
    > {
        let shape = *x.shape();
        let mean = x.with_empty_tape().try_mean::<Rank1<C>, Axes2<0, 2>>()?;
        let known_mean = mean.retaped::<NoneTape>();
        let centred = x.try_sub(mean.try_broadcast_like(&shape)?)?;
        let squares = centred.with_empty_tape().try_square()?;
        let variance = squares.try_mean::<Rank1<C>, Axes2<0, 2>>()?;
        let known_variance = variance.retaped::<NoneTape>();
        Ok((self.scale(centred, variance)?, known_mean, known_variance))
    }

    /// The output in inference.
    fn by_running<T: Tape<E, D>>(
        &self,
        x: Tensor<Channels<C>, E, D, T>,
        state: &BatchNormState<C, E, D>,
    ) -> Result<Tensor<Channels<C>, E, D, T>, D::Err> {
        let shape = *x.shape();
        let mean = state.mean.retaped::<T>().try_broadcast_like(&shape)?;
        self.scale(x.try_sub(mean)?, state.variance.retaped::<T>())
    }
}

impl<const C: usize, const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D>
    for BatchNorm<C, E, D>
{
    type State = BatchNormState<C, E, D>;

    const IN_FIELDS: bool = false;

    fn try_initial_state(&self, _: u64) -> Result<Self::State, SolveError> {
        let device = self.weight.device();
        Ok(BatchNormState {
            mean: device.try_zeros().map_err(SolveError::device)?,
            variance: device.try_ones().map_err(SolveError::device)?,
            batches: 0,
        })
    }

    /// # Errors
    /// [`SolveError::InvalidSetting`] for settings outside of their domains; [`SolveError::BatchStatistics`] in
    /// training if the batch has one number per feature; that of the device.
    fn try_forward<B: Dim, T: Tape<E, D>>(
        &self,
        call: Call<'_, Self::State>,
        x: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, Self::State), SolveError> {
        self.check_settings()?;
        let shape = *x.shape();
        let samples = shape.0.size();
        let per_channel = N / C.max(1);
        let x: Tensor<Channels<C>, E, D, T> = x
            .try_reshape_like(&(samples, Const, per_channel))
            .map_err(SolveError::device)?;
        let state = call.state;
        let (y, next) = match call.mode {
            Mode::Inference => {
                let y = self.by_running(x, state).map_err(SolveError::device)?;
                (y, state.clone())
            }
            Mode::Training => {
                let values = samples * per_channel;
                if values < 2 {
                    return Err(SolveError::BatchStatistics { values });
                }
                #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 numbers")]
                let unbiased = values as f64 / (values - 1) as f64;
                let training = || {
                    let (y, mean, variance) = self.by_batch(x)?;
                    let variance = variance.try_mul(scalar::<E>(unbiased))?;
                    let next = BatchNormState {
                        mean: self.mix(&state.mean, mean)?,
                        variance: self.mix(&state.variance, variance)?,
                        batches: state.batches.saturating_add(1),
                    };
                    Ok((y, next))
                };
                training().map_err(SolveError::device::<D::Err>)?
            }
        };
        let y = y.try_reshape_like(&shape).map_err(SolveError::device)?;
        Ok((y, next))
    }
}
