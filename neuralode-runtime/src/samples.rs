//! Samples in memory that models read where they are.

use core::{fmt, ops::Range};
use std::sync::Arc;

use dfdx::{
    shapes::{Dtype, HasShape, Shape},
    tensor::Tensor,
    tensor_ops::Device,
};

use crate::tensor::to_f64;
use neuralode_core::{
    ode::error::{Quantity, SolveError},
    simd::buffer::aligned,
};

/// Samples of `features` numbers each, one after the other, which a model reads without a copy.
///
/// A tensor of dfdx shows its numbers to nobody, so that a model that starts with a dense layer copies its input before
/// it can read it. Of samples it reads them in place: `try_forward_samples` and `try_forward_samples_traced` of
/// generated models. Clones and ranges share the memory.
///
/// # Examples
/// ```
/// use neuralode_runtime::Samples;
///
/// let set = Samples::new(2, &[0.0_f32, 0.1, 1.0, 1.1, 2.0, 2.1])?;
/// let batch = set.range(1..3)?;
/// assert_eq!((batch.len(), batch.numbers()), (2, [1.0, 1.1, 2.0, 2.1].as_slice()));
/// # Ok::<(), neuralode_runtime::SolveError>(())
/// ```
#[derive(Clone)]
pub struct Samples<E> {
    /// The numbers start on a cache line at this place: see [`aligned`].
    memory: Arc<Vec<E>>,
    start: usize,
    features: usize,
    count: usize,
}

impl<E> fmt::Debug for Samples<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples")
            .field("samples", &self.count)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

impl<E: Dtype> Samples<E> {
    /// A copy of `numbers`, sample by sample.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] unless they are a whole number of samples, and [`SolveError::TooLarge`] without
    /// memory for the copy.
    pub fn new(features: usize, numbers: &[E]) -> Result<Self, SolveError> {
        if features == 0 || !numbers.len().is_multiple_of(features) {
            return Err(SolveError::ShapeMismatch {
                expected: vec![numbers.len() / features.max(1), features],
                found: vec![numbers.len()],
            });
        }
        let rows = numbers.chunks_exact(features);
        Self::from_fn(rows.len(), features, |sample, row| {
            row.copy_from_slice(&numbers[sample * features..][..features]);
        })
    }

    /// `samples` samples, each written by `fill` into its numbers, which are zero before: a batch without another copy.
    ///
    /// # Errors
    /// [`SolveError::TooLarge`] without memory for so many.
    pub fn from_fn(
        samples: usize,
        features: usize,
        mut fill: impl FnMut(usize, &mut [E]),
    ) -> Result<Self, SolveError> {
        let memory = samples
            .checked_mul(features)
            .and_then(|count| Some((count, aligned::<E>(count)?)));
        let Some((count, (mut memory, start))) = memory else {
            return Err(SolveError::TooLarge {
                shape: vec![samples, features],
            });
        };
        if features > 0 {
            let rows = memory[start..][..count].chunks_exact_mut(features);
            for (sample, row) in rows.enumerate() {
                fill(sample, row);
            }
        }
        Ok(Self {
            memory: Arc::new(memory),
            start,
            features,
            count: samples,
        })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Numbers of each sample.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The numbers, sample by sample.
    pub fn numbers(&self) -> &[E] {
        &self.memory[self.start..][..self.count * self.features]
    }

    /// Some of the samples, in the same memory.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] unless all of them are there.
    pub fn range(&self, samples: Range<usize>) -> Result<Self, SolveError> {
        if samples.start > samples.end || samples.end > self.count {
            return Err(SolveError::ShapeMismatch {
                expected: vec![samples.end, self.features],
                found: vec![self.count, self.features],
            });
        }
        Ok(Self {
            memory: Arc::clone(&self.memory),
            start: self.start + samples.start * self.features,
            features: self.features,
            count: samples.len(),
        })
    }

    /// A copy as a tensor of this shape, whose first axis is that of the samples.
    ///
    /// # Errors
    /// [`SolveError::ShapeMismatch`] unless the shape holds as many numbers, [`SolveError::Device`] if the device
    /// fails.
    pub fn try_tensor<S: Shape, D: Device<E>>(
        &self,
        device: &D,
        shape: S,
    ) -> Result<Tensor<S, E, D>, SolveError> {
        self.check(&shape)?;
        device
            .try_tensor_from_vec(self.numbers().to_vec(), shape)
            .map_err(SolveError::device)
    }

    /// An error if a number is not finite.
    pub(crate) fn check_finite(&self) -> Result<(), SolveError> {
        let mut numbers = self.numbers().iter();
        match numbers.position(|&x| !to_f64(x).is_finite()) {
            None => Ok(()),
            Some(index) => Err(SolveError::NonFiniteData {
                quantity: Quantity::Input,
                sample: Some(index / self.features),
            }),
        }
    }

    /// An error unless a batch of this shape holds these samples, and one at least.
    pub(crate) fn check(&self, shape: &impl Shape) -> Result<(), SolveError> {
        let expected: Vec<usize> = shape.concrete().into();
        let found = vec![self.count, self.features];
        if shape.num_elements() == 0 && self.numbers().is_empty() {
            return Err(SolveError::EmptyBatch { shape: expected });
        }
        let samples = expected.first().copied() == Some(self.count);
        if !samples || shape.num_elements() != self.numbers().len() {
            return Err(SolveError::ShapeMismatch { expected, found });
        }
        Ok(())
    }
}

/// Samples on their way to the first layer of a model, in the shape that a tensor would have there.
#[derive(Clone, Copy, Debug)]
pub struct Shaped<S>(pub(crate) S);

impl<S: Shape> HasShape for Shaped<S> {
    type WithShape<New: Shape> = Shaped<New>;
    type Shape = S;

    fn shape(&self) -> &S {
        &self.0
    }
}
