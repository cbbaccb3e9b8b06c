//! The tensor engine: states are dfdx tensors on any device, fields are made of dfdx operations, and
//! vector-Jacobian products come from dfdx's tape.

mod params;
pub(crate) mod storage;

pub use params::Flat;
pub(crate) use params::{
    accumulate, accumulate_flat, accumulate_numbers, accumulate_params, each_gradient,
    flat_parameters,
};
#[cfg(feature = "cuda")]
pub(crate) use params::{all_contiguous, as_gradient};

use params::flat_gradients;

use core::{any::TypeId, fmt, marker::PhantomData, ops::Deref};

use dfdx::{
    nn::TensorCollection,
    shapes::{Const, Dim, Dtype, HasShape, Rank0, Shape},
    tensor::{Gradients, HasErr, Tape, Tensor, Trace},
    tensor_ops::{Backward, Device, ReshapeTo, SumTo, TryAdd, TryDiv, TryMul},
};

use crate::tensor::storage::{covers, read};
use neuralode_core::{
    kernel::{rows::RowScalar, TileField},
    ode::{
        error::SolveError,
        field::{Differentiable, VectorField},
        options::Tolerances,
        state::{exact_square_sum, random_sign, worst_of, Scaled, State},
    },
};

/// A vector field `f(t, y)` written in dfdx operations, once for every batch size, tape, dtype and
/// device.
///
/// The macros implement it for the fields that they generate; implement it by hand for a field of your
/// own. The parameters are those that [`TensorCollection`] visits.
///
/// # Shapes
/// `y: (B, N)` and `f(t, y): (B, N)`, where `B` is a constant or a run-time batch size.
pub trait TensorField<const N: usize, E: Dtype, D: Device<E>>:
    TensorCollection<E, D> + Clone + 'static
{
    /// Whether solves with step sizes for each sample run in lanes, where there are kernels: code that is compiled for
    /// the fields that ask for it. Others solve one sample after the other.
    const LANES: bool = false;

    /// Shows the field's generated kernels to `visitor`, if there are any. Generated code implements it; a
    /// field without runs through dfdx's operations everywhere.
    ///
    /// # Errors
    /// The visitor itself, if there are none.
    fn with_kernel<V: KernelVisitor<N>>(visitor: V) -> Result<V::Output, V> {
        Err(visitor)
    }

    /// The numbers of the tensors that [`TensorCollection`] visits, which its kernels take as parameters; `None` if
    /// kernels cannot do what the field does now. Blocks ask once per solve.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails; [`SolveError::InvalidSetting`] of a layer that kernels leave out.
    fn kernel_parameters(&self) -> Result<Option<Vec<E>>, SolveError> {
        flat_parameters(self).map(Some)
    }

    /// Evaluates `f(t, y)`.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        t: f64,
        y: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<Tensor<(B, Const<N>), E, D, T>, SolveError>;
}

/// Something to do with the kernels of a field, whatever their type.
pub trait KernelVisitor<const N: usize> {
    /// Its result.
    type Output;

    /// Does it.
    fn visit<K: TileField<N>>(self) -> Self::Output;
}

/// A [`TensorField`] as the solvers see it, for one batch size.
pub struct TensorEngine<F, B, const N: usize, E, D> {
    field: F,
    marker: PhantomData<(B, Const<N>, E, D)>,
}

impl<F, B, const N: usize, E, D> fmt::Debug for TensorEngine<F, B, N, E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TensorEngine").finish_non_exhaustive()
    }
}

impl<F, B, const N: usize, E, D> TensorEngine<F, B, N, E, D> {
    /// Wraps a field; a clone of a model's field shares its tensors.
    pub fn new(field: F) -> Self {
        Self {
            field,
            marker: PhantomData,
        }
    }
}

impl<F, B: Dim, const N: usize, E: Dtype, D: Device<E>> VectorField for TensorEngine<F, B, N, E, D>
where
    F: TensorField<N, E, D>,
{
    type State = TensorState<(B, Const<N>), E, D>;

    fn eval(&mut self, t: f64, y: &Self::State, dy: &mut Self::State) -> Result<(), SolveError> {
        // A user's field may return a broadcast tensor, whose layout no other state shares.
        dy.0 = self
            .field
            .try_eval(t, y.0.clone())?
            .try_contiguous()
            .map_err(SolveError::device)?;
        Ok(())
    }
}

impl<F, B: Dim, const N: usize, E: Dtype, D: Device<E>> Differentiable
    for TensorEngine<F, B, N, E, D>
where
    F: TensorField<N, E, D>,
{
    type Params = Vec<TensorState<(usize,), E, D>>;

    fn zero_params(&mut self) -> Result<Self::Params, SolveError> {
        let zeros = flat_gradients(&self.field, &mut Gradients::leaky())?;
        Ok(zeros.into_iter().map(TensorState).collect())
    }

    /// What its kernels say, if it has any.
    fn has_kinks(&self) -> bool {
        /// A question to the kernels.
        struct Ask;

        impl<const N: usize> KernelVisitor<N> for Ask {
            type Output = bool;

            fn visit<K: TileField<N>>(self) -> bool {
                K::KINKS
            }
        }

        F::with_kernel(Ask).unwrap_or(false)
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &Self::State,
        cotangent: &Self::State,
        y_bar: &mut Self::State,
        theta_bar: &mut Self::Params,
    ) -> Result<(), SolveError> {
        let product = self
            .field
            .try_eval(t, y.0.leaky_trace())?
            .try_mul(cotangent.0.clone())
            .map_err(SolveError::device)?;
        let mut gradients = product
            .try_sum::<Rank0, _>()
            .and_then(Backward::try_backward)
            .map_err(SolveError::device)?;
        gradients.try_alloc_for(&y.0).map_err(SolveError::device)?;
        y_bar.0 = gradients.get(&y.0);
        let flat = flat_gradients(&self.field, &mut gradients)?;
        *theta_bar = flat.into_iter().map(TensorState).collect();
        Ok(())
    }
}

/// The same numbers under an identity of their own. A clone shares the identity of its source, and a
/// tape that met both would add their gradients.
pub(crate) fn with_fresh_identity<S: Shape, E: Dtype, D: Device<E>>(
    tensor: Tensor<S, E, D>,
) -> Result<Tensor<S, E, D>, SolveError> {
    tensor.try_mul(E::ONE).map_err(SolveError::device)
}

/// `x` in the dtype `E`.
pub(crate) fn scalar<E: Dtype>(x: f64) -> E {
    // Every floating-point dtype converts from every f64; infinity stands for what overflows.
    E::from_f64(x).unwrap_or_default()
}

/// `x` as f64, NaN where the dtype has no such number.
pub(crate) fn to_f64<E: Dtype>(x: E) -> f64 {
    x.to_f64().unwrap_or(f64::NAN)
}

/// The index of the first sample (along the first axis) with a NaN or an infinity.
///
/// One pass on the processor. On other devices one sum where all is well; the tensor is read back only where
/// it is not.
///
/// # Errors
/// [`SolveError::Device`] if the device fails.
pub fn first_non_finite<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tensor: &Tensor<S, E, D, T>,
) -> Result<Option<usize>, SolveError> {
    let untaped = tensor.retaped::<dfdx::tensor::NoneTape>();
    if is_finite_here(&untaped).map_err(SolveError::device::<D::Err>)? {
        return Ok(None);
    }
    let sum = untaped
        .try_sum::<Rank0, S::AllAxes>()
        .map_err(SolveError::device)?;
    if sum.as_vec().into_iter().all(|sum| to_f64(sum).is_finite()) {
        return Ok(None);
    }
    let values = tensor.as_vec();
    let per_sample = per_sample::<S>(tensor.shape());
    Ok(values
        .into_iter()
        .position(|x| !to_f64(x).is_finite())
        .map(|index| index / per_sample))
}

/// Whether `tensor` is on the processor, of a dtype with kernels, and finite.
fn is_finite_here<S: Shape, E: Dtype, D: Device<E>>(
    tensor: &Tensor<S, E, D>,
) -> Result<bool, D::Err> {
    if !covers::<E, D>() {
        return Ok(false);
    }
    let tensor = tensor.clone().try_contiguous()?;
    Ok(if TypeId::of::<E>() == TypeId::of::<f32>() {
        read::<_, _, _, _, f32>(&tensor).is_some_and(|x| RowScalar::all_finite(x.as_slice()))
    } else {
        read::<_, _, _, _, f64>(&tensor).is_some_and(|x| RowScalar::all_finite(x.as_slice()))
    })
}

/// Scalars per index of the first axis.
fn per_sample<S: Shape>(shape: &S) -> usize {
    let samples = shape.concrete().into_iter().next().unwrap_or(1).max(1);
    (shape.num_elements() / samples).max(1)
}

/// A tensor as a state of the solvers.
#[derive(Clone, Debug)]
pub struct TensorState<S: Shape, E: Dtype, D: Device<E>>(pub Tensor<S, E, D>);

impl<S: Shape, E: Dtype, D: Device<E>> From<Tensor<S, E, D>> for TensorState<S, E, D> {
    fn from(tensor: Tensor<S, E, D>) -> Self {
        Self(tensor)
    }
}

impl<S: Shape, E: Dtype, D: Device<E>> State for TensorState<S, E, D> {
    fn len(&self) -> usize {
        self.0.shape().num_elements()
    }

    /// The first axis of several.
    fn samples(&self) -> usize {
        let mut axes = self.0.shape().concrete().into_iter();
        let first = axes.next();
        first.filter(|_| axes.next().is_some()).unwrap_or(1)
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len() * size_of::<E>()
    }

    fn dot(&self, other: &Self) -> Result<f64, SolveError> {
        let pairs = self.0.as_vec().into_iter().zip(other.0.as_vec());
        Ok(pairs.map(|(a, b)| to_f64(a) * to_f64(b)).sum())
    }

    fn sample_norms(&self, norms: &mut Vec<f64>) -> Result<(), SolveError> {
        let norm = |sample: &[E]| {
            let squares = sample.iter().map(|x| to_f64(*x) * to_f64(*x));
            squares.sum::<f64>().sqrt()
        };
        norms.clear();
        norms.extend(
            self.0
                .as_vec()
                .chunks(per_sample(self.0.shape()).max(1))
                .map(norm),
        );
        Ok(())
    }

    fn epsilon(&self) -> f64 {
        let (mut epsilon, one) = (1.0, E::ONE);
        while one + scalar::<E>(epsilon / 2.0) != one {
            epsilon /= 2.0;
        }
        epsilon
    }

    fn combine_into<'a>(
        &self,
        terms: impl Iterator<Item = (f64, &'a Self)> + Clone,
        out: &mut Self,
    ) -> Result<(), SolveError>
    where
        Self: 'a,
    {
        let mut sum = self.0.clone();
        for (c, x) in terms {
            sum.try_axpy(1.0, &x.0, c).map_err(SolveError::device)?;
        }
        out.0 = sum;
        Ok(())
    }

    fn zeros_like(&self) -> Result<Self, SolveError> {
        self.0
            .device()
            .try_zeros_like(self.0.shape())
            .map(Self)
            .map_err(SolveError::device)
    }

    fn signs(&self, seed: u64) -> Result<Self, SolveError> {
        let numbers = (0..self.len()).map(|place| scalar::<E>(random_sign(seed, place)));
        self.0
            .device()
            .try_tensor_from_vec(numbers.collect(), *self.0.shape())
            .map(Self)
            .map_err(SolveError::device)
    }

    fn scaled_square_sum(
        error: &Self,
        y0: &Self,
        y1: &Self,
        tolerances: &Tolerances,
    ) -> Result<f64, SolveError> {
        let (error, y0, y1) = (&error.0, &y0.0, &y1.0);
        let sum = || -> Result<_, D::Err> {
            let size = y0.clone().try_abs()?.try_maximum(y1.clone().try_abs()?)?;
            let scale = size
                .try_mul(scalar::<E>(tolerances.rtol))?
                .try_add(scalar::<E>(tolerances.atol))?;
            // Zero for a finite state, NaN otherwise: an infinite `y1` would hide in the scale.
            let guard = y1.clone().try_mul(E::default())?;
            error
                .clone()
                .try_div(scale)?
                .try_square()?
                .try_add(guard)?
                .try_sum::<Rank0, S::AllAxes>()
        };
        let sum: f64 = {
            let sum = sum().map_err(SolveError::device)?;
            sum.as_vec().into_iter().map(to_f64).sum()
        };
        if sum.is_finite() {
            return Ok(sum);
        }
        // The squares of f32 overflow long before the numbers do: look again in f64.
        Ok(exact_square_sum(scaled_errors(error, y0, y1, tolerances)))
    }

    fn worst_sample(error: &Self, y0: &Self, y1: &Self, tolerances: &Tolerances) -> Option<usize> {
        let per_sample = per_sample(error.0.shape());
        worst_of(
            scaled_errors(&error.0, &y0.0, &y1.0, tolerances),
            per_sample,
        )
    }
}

impl<S: Shape, E: Dtype, D: Device<E>> Deref for TensorState<S, E, D> {
    type Target = Tensor<S, E, D>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// Every scalar's error with its scale, on the host and in f64.
fn scaled_errors<S: Shape, E: Dtype, D: Device<E>>(
    error: &Tensor<S, E, D>,
    y0: &Tensor<S, E, D>,
    y1: &Tensor<S, E, D>,
    tolerances: &Tolerances,
) -> impl Iterator<Item = Scaled> {
    let tolerances = *tolerances;
    let y = y0.as_vec().into_iter().zip(y1.as_vec());
    error
        .as_vec()
        .into_iter()
        .zip(y)
        .map(move |(error, (y0, y1))| {
            Scaled::new(to_f64(error), (to_f64(y0), to_f64(y1)), &tolerances)
        })
}

/// The error type of a device.
pub type DeviceErr<D> = <D as HasErr>::Err;
