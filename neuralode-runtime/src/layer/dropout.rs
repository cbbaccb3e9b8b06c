//! Dropout.

use dfdx::{
    nn::{ModuleVisitor, NonMutableModule, TensorCollection},
    shapes::{Const, Dim, Dtype, HasShape},
    tensor::{PutTape, Tape, Tensor},
    tensor_ops::{Device, TryMul},
};

use crate::{
    layer::{
        random::{halves, philox},
        stateful::{Call, Layer, Mode},
    },
    tensor::scalar,
};
use neuralode_core::ode::error::SolveError;

/// In training every feature is zero with a probability, and divided by the probability to stay otherwise, so that its
/// expectation is that of inference, in which nothing happens.
///
/// What is dropped is a function of the state, of the sample's place in the batch and of the feature, and of nothing
/// else: a call with the same state drops the same. Inside of a vector field one mask holds for a whole solve, since
/// the state is frozen.
///
/// # Shapes
/// Any, unchanged.
///
/// # Sources
/// N. Srivastava, G. Hinton, A. Krizhevsky, I. Sutskever, R. Salakhutdinov, "Dropout: a simple way to prevent neural
/// networks from overfitting", JMLR 15 (2014) 1929-1958.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// The probability to be dropped: at least 0 and below 1.
    pub probability: f64,
}

impl Default for Dropout {
    fn default() -> Self {
        Self { probability: 0.5 }
    }
}

impl NonMutableModule for Dropout {}

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Dropout {
    type To<E2: Dtype, D2: Device<E2>> = Self;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Self>, V::Err> {
        visitor.visit_fields((), |()| Self::default())
    }
}

/// Where the random numbers of a [`Dropout`] come from: the key and a part of the counter of a generator without
/// hidden state (Philox 4x32-10, J. K. Salmon et al., SC 2011, DOI 10.1145/2063384.2063405).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DropoutState {
    /// Tells the sequences of masks apart.
    pub seed: u64,
    /// How many masks were used: the place of the next one in its sequence.
    pub calls: u64,
}

impl Dropout {
    /// Looks at the probability, which kernels never read: they run in inference, where dropout does nothing.
    ///
    /// # Errors
    /// [`SolveError::InvalidSetting`] for a probability outside of its domain.
    pub fn check_settings(self) -> Result<(), SolveError> {
        if (0.0..1.0).contains(&self.probability) {
            return Ok(());
        }
        Err(SolveError::InvalidSetting {
            layer: "Dropout",
            name: "probability",
            found: self.probability,
            expected: "a number from 0 to below 1, such as 0.5",
        })
    }

    /// Numbers to multiply a batch of samples of `features` numbers with.
    fn mask<E: Dtype>(self, state: DropoutState, batch: usize, features: usize) -> Vec<E> {
        let kept = scalar::<E>(1.0 / (1.0 - self.probability));
        let mut mask = vec![E::default(); batch * features];
        let [low, high] = halves(state.calls);
        let samples = mask.chunks_exact_mut(features.max(1));
        for (sample, features) in (0..=u32::MAX).zip(samples) {
            for (block, features) in (0..=u32::MAX).zip(features.chunks_mut(4)) {
                let words = philox([low, high, sample, block], state.seed);
                for (feature, word) in features.iter_mut().zip(words) {
                    let uniform = f64::from(word) / 4_294_967_296.0;
                    if uniform >= self.probability {
                        *feature = kept;
                    }
                }
            }
        }
        mask
    }
}

impl<const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D> for Dropout {
    type State = DropoutState;

    fn try_initial_state(&self, seed: u64) -> Result<DropoutState, SolveError> {
        Ok(DropoutState { seed, calls: 0 })
    }

    /// # Errors
    /// [`SolveError::InvalidSetting`] for a probability outside of its domain; that of the device.
    fn try_forward<B: Dim, T: Tape<E, D>>(
        &self,
        call: Call<'_, DropoutState>,
        x: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, DropoutState), SolveError> {
        self.check_settings()?;
        let state = *call.state;
        if call.mode == Mode::Inference {
            return Ok((x, state));
        }
        let shape = *x.shape();
        let mask = self.mask(state, shape.0.size(), N);
        let dropped = || {
            let mask: Tensor<_, E, D> = x.device().clone().try_tensor_from_vec(mask, shape)?;
            x.try_mul(mask.put_tape(T::default()))
        };
        let next = DropoutState {
            calls: state.calls.wrapping_add(1),
            ..state
        };
        Ok((dropped().map_err(SolveError::device)?, next))
    }
}
