//! Losses as one operation on the tape.

#![allow(
    clippy::inline_always,
    reason = "only code inlined into a dispatched function runs under its vector instructions"
)]

use dfdx::{
    shapes::{Dtype, HasAxes, HasShape, Rank0, Shape},
    tensor::{PutTape, SplitTape, Tape, Tensor},
    tensor_ops::{Device, ReshapeTo, SumTo, TryMul},
};
use pulp::{Arch, Simd, WithSimd};

use crate::tensor::{
    scalar,
    storage::{covers, numbers_mut, read, KernelDtype},
};
use neuralode_core::{kernel::rows::RowScalar, ode::error::SolveError, simd::buffer::Buffer};

/// The cross entropy of `softmax(logits)` against `targets`, as the mean over all samples.
///
/// For one sample with the logits `z` and the targets `p`, which need not sum to one, it is
/// `-sum(p * log_softmax(z))`. Value and gradient are those of dfdx's `cross_entropy_with_logits_loss`; on
/// `Cpu` in f32 and f64 they take one operation instead of ten. There is no gradient for the targets.
///
/// # Shapes
/// `logits` and `targets` have the same shape; the last axis holds the classes.
///
/// # Panics
/// If the device fails; see [`try_softmax_cross_entropy`].
///
/// # Examples
/// ```
/// use dfdx::prelude::*;
/// use neuralode_runtime::softmax_cross_entropy;
///
/// let dev = Cpu::default();
/// let logits: Tensor<Rank2<1, 2>, f64, _> = dev.tensor([[3.0_f64.ln(), 0.0]]);
/// let targets = dev.tensor([[1.0, 0.0]]);
/// let loss = softmax_cross_entropy(logits.leaky_trace(), targets);
/// assert!((loss.array() - (4.0_f64 / 3.0).ln()).abs() < 1e-12);
/// let gradient = loss.backward().get(&logits).array();
/// assert!((gradient[0][0] + 0.25).abs() < 1e-12 && (gradient[0][1] - 0.25).abs() < 1e-12);
/// ```
#[allow(
    clippy::panic,
    reason = "the twin of dfdx's losses, which panic where a device fails"
)]
pub fn softmax_cross_entropy<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    logits: Tensor<S, E, D, T>,
    targets: Tensor<S, E, D>,
) -> Tensor<Rank0, E, D, T> {
    match try_softmax_cross_entropy(logits, targets) {
        Ok(loss) => loss,
        Err(error) => panic!("softmax_cross_entropy: {error}"),
    }
}

/// [`softmax_cross_entropy`], with the device's failure as an error.
///
/// # Errors
/// [`SolveError::EmptyBatch`], [`SolveError::ShapeMismatch`] (two run-time batch sizes), and
/// [`SolveError::Device`] if the device fails.
pub fn try_softmax_cross_entropy<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    logits: Tensor<S, E, D, T>,
    targets: Tensor<S, E, D>,
) -> Result<Tensor<Rank0, E, D, T>, SolveError> {
    let (shape, of_targets) = (logits.shape().concrete(), targets.shape().concrete());
    if shape != of_targets {
        return Err(SolveError::ShapeMismatch {
            expected: shape.into(),
            found: of_targets.into(),
        });
    }
    if logits.shape().num_elements() == 0 {
        return Err(SolveError::EmptyBatch {
            shape: shape.into(),
        });
    }
    if !covers::<E, D>() {
        return by_operations(logits, &targets).map_err(SolveError::device);
    }
    // Known while compiling, so that one of them is.
    if const { size_of::<E>() == size_of::<f32>() } {
        fused::<_, _, _, _, f32>(logits, targets)
    } else {
        fused::<_, _, _, _, f64>(logits, targets)
    }
    .map_err(SolveError::device)
}

/// The loss in dfdx's operations, on any device.
fn by_operations<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    logits: Tensor<S, E, D, T>,
    targets: &Tensor<S, E, D>,
) -> Result<Tensor<Rank0, E, D, T>, D::Err> {
    let samples = logits.shape().num_elements() / classes(logits.shape());
    #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 samples")]
    let weight = scalar::<E>(-1.0 / samples as f64);
    logits
        .try_log_softmax::<S::LastAxis>()?
        .try_mul(targets.clone())?
        .try_sum::<Rank0, S::AllAxes>()?
        .try_mul(weight)
}

/// Extent of the last axis.
fn classes<S: Shape>(shape: &S) -> usize {
    <S as HasAxes<S::LastAxis>>::size(shape).max(1)
}

/// The loss as one operation; `R` is `E` under the name that the kernels know.
fn fused<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>, R: KernelDtype>(
    logits: Tensor<S, E, D, T>,
    targets: Tensor<S, E, D>,
) -> Result<Tensor<Rank0, E, D, T>, D::Err> {
    let (logits, targets) = (logits.try_contiguous()?, targets.try_contiguous()?);
    let numbers = (
        read::<_, _, _, _, R>(&logits),
        read::<_, _, _, _, R>(&targets),
    );
    let (Some(mut numbers), Some(target_numbers)) = numbers else {
        return by_operations(logits, &targets);
    };
    let mut exps = Buffer::<R>::new(numbers.as_slice().len());
    let loss = Arch::new().dispatch(CrossEntropy {
        classes: classes(logits.shape()),
        logits: numbers.as_mut_slice(),
        targets: target_numbers.as_slice(),
        exps: exps.as_mut_slice(),
    });
    let (logits, mut tape) = logits.split_tape();
    let device = logits.device();
    let loss = device.try_tensor_from_vec(vec![scalar::<E>(loss)], ())?;
    if T::OWNS_TAPE {
        let (logits, loss, gradient) = (logits.ghost(), loss.ghost(), numbers);
        tape.add_backward_op(move |gradients| {
            let loss_bar = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&loss)?);
            let Some(&mut [loss_bar]) = loss_bar else {
                return Ok(());
            };
            let logits_bar = gradients.get_or_alloc_mut(&logits)?;
            if let Some(logits_bar) = numbers_mut::<E, D, R>(logits_bar) {
                for (bar, gradient) in logits_bar.iter_mut().zip(gradient.as_slice()) {
                    *bar += loss_bar * *gradient;
                }
            }
            Ok(())
        });
    }
    Ok(loss.put_tape(tape))
}

/// The mean loss; leaves its gradient in `logits`.
struct CrossEntropy<'a, E> {
    classes: usize,
    logits: &'a mut [E],
    targets: &'a [E],
    /// Scratch: the exponentials of all logits, each relative to the largest of its sample.
    exps: &'a mut [E],
}

impl<E: RowScalar> WithSimd for CrossEntropy<'_, E> {
    type Output = f64;

    #[allow(
        clippy::needless_range_loop,
        reason = "as in the kernels: pairs of iterators would stay calls"
    )]
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f64 {
        let Self {
            classes,
            logits,
            targets,
            exps,
        } = self;
        #[allow(clippy::cast_precision_loss, reason = "no batch has 2^53 samples")]
        let samples = (logits.len() / classes) as f64;
        for sample in 0..logits.len() / classes {
            let z = &mut logits[sample * classes..][..classes];
            let mut largest = z[0];
            for z in &z[1..] {
                largest = if *z > largest { *z } else { largest };
            }
            for z in z {
                *z = *z - largest;
            }
        }
        // All samples at once: rows are often shorter than a vector.
        let count = logits.len();
        let exps = &mut exps[..count];
        for n in 0..count {
            exps[n] = logits[n].exp_below_one::<S>();
        }
        let mut total = 0.0;
        for sample in 0..count / classes {
            let z = &mut logits[sample * classes..][..classes];
            let p = &targets[sample * classes..][..classes];
            let exp = &exps[sample * classes..][..classes];
            let (mut mass, mut sum, mut product) = (0.0, 0.0, 0.0);
            for k in 0..classes {
                mass += p[k].to_f64();
                sum += exp[k].to_f64();
                product += p[k].to_f64() * z[k].to_f64();
            }
            total += mass * sum.ln() - product;
            // d/dz = (softmax(z) sum(p) - p) / samples
            let (of_exp, of_target) = (
                E::from_f64(mass / (sum * samples)),
                E::from_f64(-1.0 / samples),
            );
            for k in 0..classes {
                z[k] = of_exp.mul_add::<S>(exp[k], of_target * p[k]);
            }
        }
        total / samples
    }
}
