//! Optimizers beside dfdx's.

pub(crate) mod adam;

use dfdx::{
    nn::{
        RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ZeroGrads,
    },
    optim::{Adam, Optimizer, WeightDecay},
    shapes::{Dtype, Shape},
    tensor::{Gradients, Storage, Tensor},
    tensor_ops::{AdamConfig, Device},
};

use crate::{
    optim::adam::{AdamScalar, Numbers},
    tensor::{
        each_gradient,
        storage::{covers, numbers_mut},
    },
};
use neuralode_core::{
    kernel::rows::RowScalar,
    ode::error::{Quantity, SolveError},
    simd::buffer::Buffer,
};

/// The optimizer Adam, in one pass over each tensor.
///
/// It takes the steps of dfdx's [`Adam`], to the bit on the processor. Its loop is compiled with this library, under
/// the processor's vector instructions, where dfdx's is compiled with the program, and slow without link-time
/// optimisation. It leaves the gradients at zero, ready for the next step, and changes no parameter if a gradient, or
/// its sum with the weight decay `L2`, is NaN, infinite, or so large that its square overflows: Adam would then keep an
/// infinite second moment and never move that parameter again.
///
/// D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", arXiv:1412.6980; decoupled weight decay: I.
/// Loshchilov, F. Hutter, "Decoupled Weight Decay Regularization", arXiv:1711.05101.
///
/// # Examples
/// ```
/// use dfdx::prelude::*;
/// use neuralode_runtime::FusedAdam;
///
/// let dev = Cpu::default();
/// let mut x: Tensor<Rank1<2>, f64, _> = dev.tensor([1.0, -2.0]);
/// let config = AdamConfig { lr: 0.1, ..AdamConfig::default() };
/// let mut optimizer = FusedAdam::new(&x, config);
/// let mut gradients = x.alloc_grads();
/// for _ in 0..200 {
///     gradients = x.trace(gradients).square().sum().backward();
///     optimizer.step(&mut x, &mut gradients)?;
/// }
/// assert!(x.array().iter().all(|x| x.abs() < 0.1));
/// # Ok::<(), neuralode_runtime::SolveError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FusedAdam<M, E: Dtype, D: Device<E>> {
    /// Learning rate and the like; it may change between steps.
    pub cfg: AdamConfig,
    steps: i32,
    /// The first and the second moments of the gradients.
    moments: [Gradients<E, D>; 2],
    /// For devices and types without kernels.
    portable: Adam<M, E, D>,
}

impl<M, E: Dtype, D: Device<E>> FusedAdam<M, E, D> {
    /// An optimizer for `module`, which has taken no step.
    pub fn new(module: &M, cfg: AdamConfig) -> Self {
        Self {
            cfg,
            steps: 0,
            moments: [Gradients::leaky(), Gradients::leaky()],
            portable: Adam::new(module, cfg),
        }
    }

    /// Changes the trainable parameters of `module` along `gradients`, and sets these to zero. A parameter without a
    /// gradient has one of zero.
    ///
    /// It costs a pass over all gradients and one over everything, and a copy of each tensor out of dfdx and back; it
    /// keeps two numbers for each parameter.
    ///
    /// # Errors
    /// [`SolveError::NonFiniteData`] if a gradient (with the weight decay `L2` added, if there is one) is NaN or
    /// infinite, [`SolveError::GradientTooLarge`] if its square overflows (both on the processor, in f32 and f64),
    /// before anything has changed; [`SolveError::Device`] if the device fails.
    pub fn step(
        &mut self,
        module: &mut M,
        gradients: &mut Gradients<E, D>,
    ) -> Result<(), SolveError>
    where
        M: TensorCollection<E, D>,
    {
        let decay = match self.cfg.weight_decay {
            Some(WeightDecay::L2(decay)) => decay,
            Some(WeightDecay::Decoupled(_)) | None => 0.0,
        };
        let mut usable = true;
        each_gradient(&*module, gradients, |gradient, parameters| {
            if decay != 0.0 {
                let seen = Seen::of::<E, D>(gradient, decay, parameters);
                usable &= seen.is_usable();
            } else if let Some(numbers) = numbers_mut::<E, D, f32>(gradient) {
                usable &= f32::squares_finite(numbers);
            } else if let Some(numbers) = numbers_mut::<E, D, f64>(gradient) {
                usable &= f64::squares_finite(numbers);
            }
        })
        .map_err(SolveError::device::<D::Err>)?;
        if !usable {
            return Err(Self::refusal(module, gradients, decay));
        }
        if !covers::<E, D>() {
            self.portable.cfg = self.cfg;
            self.portable
                .update(module, gradients)
                .map_err(|error| SolveError::device(format!("{error:?}")))?;
            return module
                .try_zero_grads(gradients)
                .map_err(SolveError::device::<D::Err>);
        }
        self.steps = self.steps.saturating_add(1);
        let mut update = Update {
            optimizer: self,
            gradients,
        };
        M::iter_tensors(&mut RecursiveWalker {
            m: module,
            f: &mut update,
        })
        .map_err(SolveError::device::<D::Err>)?;
        Ok(())
    }

    /// Why a step cannot be taken.
    fn refusal(module: &M, gradients: &mut Gradients<E, D>, decay: f64) -> SolveError
    where
        M: TensorCollection<E, D>,
    {
        let mut worst = Seen::default();
        let looked = each_gradient(module, gradients, |gradient, parameters| {
            let seen = Seen::of::<E, D>(gradient, decay, parameters);
            worst.finite &= seen.finite;
            worst.largest = worst.largest.max(seen.largest);
            worst.limit = seen.limit;
        });
        match looked {
            Err(error) => SolveError::device::<D::Err>(error),
            Ok(()) if worst.finite => SolveError::GradientTooLarge {
                largest: worst.largest,
                limit: worst.limit,
            },
            Ok(()) => SolveError::NonFiniteData {
                quantity: Quantity::Gradient,
                sample: None,
            },
        }
    }
}

/// The largest of the numbers whose squares Adam would add to its second moments, and whether all are finite.
struct Seen {
    finite: bool,
    /// The largest of those that are finite.
    largest: f64,
    /// Where squares overflow.
    limit: f64,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            finite: true,
            largest: 0.0,
            limit: f64::MAX.sqrt(),
        }
    }
}

impl Seen {
    /// Looks at the gradient of one tensor, with `decay` times its parameters added. On another device than the
    /// processor it sees nothing.
    fn of<E: Dtype, D: Device<E>>(
        gradient: &mut <D as Storage<E>>::Vec,
        decay: f64,
        parameters: &dyn Fn() -> Vec<E>,
    ) -> Self {
        let mut seen = Self::default();
        if let Some(numbers) = numbers_mut::<E, D, f32>(gradient) {
            seen.limit = f64::from(f32::MAX.sqrt());
            seen.look(numbers.iter().map(|g| f64::from(*g)), decay, parameters);
        } else if let Some(numbers) = numbers_mut::<E, D, f64>(gradient) {
            seen.look(numbers.iter().copied(), decay, parameters);
        }
        seen
    }

    fn look<E: Dtype>(
        &mut self,
        gradient: impl Iterator<Item = f64>,
        decay: f64,
        parameters: &dyn Fn() -> Vec<E>,
    ) {
        let parameters = if decay == 0.0 {
            Vec::new()
        } else {
            parameters()
        };
        let parameters = parameters.iter().map(|p| p.to_f64().unwrap_or(f64::NAN));
        for (g, p) in gradient.zip(parameters.chain(core::iter::repeat(0.0))) {
            let sum = g + decay * p;
            self.finite &= sum.is_finite();
            self.largest = self.largest.max(sum.abs());
        }
    }

    fn is_usable(&self) -> bool {
        self.finite && self.largest < self.limit
    }
}

struct Update<'a, M, E: Dtype, D: Device<E>> {
    optimizer: &'a mut FusedAdam<M, E, D>,
    gradients: &'a mut Gradients<E, D>,
}

impl<M, E: Dtype, D: Device<E>> Update<'_, M, E, D> {
    /// `R` is `E` under the name that the kernels know, or another type, and nothing happens.
    fn tensor<S: Shape, R: AdamScalar>(
        &mut self,
        tensor: &mut Tensor<S, E, D>,
    ) -> Result<(), D::Err> {
        let [first, second] = &mut self.optimizer.moments;
        let numbers = (
            numbers_mut::<E, D, R>(self.gradients.get_or_alloc_mut(tensor)?),
            numbers_mut::<E, D, R>(first.get_or_alloc_mut(tensor)?),
            numbers_mut::<E, D, R>(second.get_or_alloc_mut(tensor)?),
        );
        let (Some(gradient), Some(first), Some(second)) = numbers else {
            return Ok(());
        };
        // dfdx lends no parameter's memory: the numbers go out of it and back.
        let mut parameters = Buffer::<R>::new(gradient.len());
        if let Some(copy) = parameters.as_mut_slice_of::<E>() {
            tensor.copy_into(copy);
        }
        R::adam_step(
            &self.optimizer.cfg,
            self.optimizer.steps,
            Numbers {
                parameters: parameters.as_mut_slice(),
                gradient,
                moments: [first, second],
            },
        );
        if let Some(changed) = parameters.as_mut_slice_of::<E>() {
            tensor.copy_from(changed);
        }
        Ok(())
    }
}

impl<M, E: Dtype, D: Device<E>> TensorVisitor<E, D> for Update<'_, M, E, D> {
    type Viewer = ViewTensorMut;
    type Err = D::Err;
    type E2 = E;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        options: TensorOptions<S, E, D>,
        tensor: &mut Tensor<S, E, D>,
    ) -> Result<Option<Tensor<S, E, D>>, D::Err> {
        if options.do_gradient_update {
            self.tensor::<S, f32>(tensor)?;
            self.tensor::<S, f64>(tensor)?;
        }
        Ok(None)
    }
}
