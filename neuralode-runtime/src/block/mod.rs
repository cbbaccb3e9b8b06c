//! A Neural ODE as a layer: one operation on dfdx's tape.

#[cfg(feature = "cuda")]
mod cuda;
mod each;
mod frozen;
mod host;
mod portable;
mod saved;
mod solving;

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection},
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Tape, Tensor},
    tensor_ops::{Device, ReshapeTo},
};

use crate::{
    summary::Kernels,
    tensor::{storage, KernelVisitor, TensorField},
};
use neuralode_core::{
    device::{FieldSource, Precision, Program},
    kernel::TileField,
    ode::{choices::Backend, error::SolveError, options::SolveOptions, stats::Stats},
};

use saved::{At, End, Saved};

pub use frozen::{Frozen, StatefulField};

/// The map from `y0` to `y(t1)`, where `dy/dt = f(t, y)` and `y(t0) = y0`.
///
/// A layer like any other of dfdx: its parameters are those of the field, and on a taped input the
/// adjoint named in the options becomes one operation on the tape.
///
/// # Shapes
/// `(B, N)` to `(B, N)`. One step size serves the whole batch, or every sample has its own:
/// [`neuralode_core::ode::choices::StepSizes`]; then statistics are sums over the samples.
///
/// # Examples
/// ```
/// use dfdx::prelude::*;
/// use neuralode_runtime::{NeuralOde, SolveError, SolveOptions, TensorField};
///
/// /// dy/dt = -y
/// #[derive(Clone)]
/// struct Decay;
///
/// impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Decay {
///     type To<E2: Dtype, D2: Device<E2>> = Decay;
///     fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
///         visitor: &mut V,
///     ) -> Result<Option<Decay>, V::Err> {
///         visitor.visit_fields((), |()| Decay)
///     }
/// }
///
/// impl<const N: usize, E: Dtype, D: Device<E>> TensorField<N, E, D> for Decay {
///     fn try_eval<B: Dim, T: Tape<E, D>>(
///         &self,
///         _t: f64,
///         y: Tensor<(B, Const<N>), E, D, T>,
///     ) -> Result<Tensor<(B, Const<N>), E, D, T>, SolveError> {
///         y.try_negate().map_err(SolveError::device)
///     }
/// }
///
/// let dev = Cpu::default();
/// let block = NeuralOde::new(Decay, SolveOptions::new(0.0, 1.0, 1e-8, 1e-8));
/// let y0: Tensor<Rank2<1, 1>, f64, _> = dev.tensor([[2.0]]);
/// let (y1, stats) = block.try_forward_with_stats(y0)?;
/// assert!((y1.array()[0][0] - 2.0 * (-1.0_f64).exp()).abs() < 1e-7);
/// assert_eq!(stats.field_calls, 2 + 6 * (stats.accepted + stats.rejected));
/// # Ok::<(), SolveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct NeuralOde<F> {
    /// The vector field.
    pub field: F,
    /// How it is solved; may be changed at any time.
    pub options: SolveOptions,
}

/// When generated kernels solve a field on this device and dtype.
pub fn has_kernels<const N: usize, E: Dtype, D: Device<E>, F: TensorField<N, E, D>>() -> Kernels {
    /// Whether the field has device code.
    struct Look;

    impl<const N: usize> KernelVisitor<N> for Look {
        type Output = bool;

        fn visit<K: TileField<N>>(self) -> bool {
            K::cuda_source().is_some()
        }
    }

    match F::with_kernel(Look) {
        Ok(_) if storage::covers::<E, D>() => Kernels::Always,
        Ok(true) if on_a_gpu::<E, D>() => Kernels::DiscreteAdjoint,
        _ => Kernels::Never,
    }
}

/// The same of a field with state.
pub fn has_kernels_at_state<const N: usize, E, D, F>() -> Kernels
where
    E: Dtype,
    D: Device<E>,
    F: StatefulField<N, E, D>,
{
    match has_kernels::<N, E, D, Frozen<F, F::State>>() {
        Kernels::Always => Kernels::InInference,
        Kernels::DiscreteAdjoint => Kernels::DiscreteAdjointInInference,
        fewer => fewer,
    }
}

/// The CUDA program of a field, in this dtype and for methods of up to 14 stages, if device code has all of its layers.
pub fn cuda_program<const N: usize, E: Dtype, D: Device<E>, F: TensorField<N, E, D>>(
    tile: usize,
) -> Option<Program> {
    struct Source;

    impl<const N: usize> KernelVisitor<N> for Source {
        type Output = Option<FieldSource>;

        fn visit<K: TileField<N>>(self) -> Self::Output {
            K::cuda_source()
        }
    }

    let source = F::with_kernel(Source).ok().flatten()?;
    let precision = match size_of::<E>() {
        4 => Precision::F32,
        8 => Precision::F64,
        _ => return None,
    };
    Some(source.program(precision, tile, 14))
}

/// The programs of the blocks that have one, each with the path of its block.
pub fn cuda_programs<const BLOCKS: usize>(
    programs: [(&'static str, Option<Program>); BLOCKS],
) -> Vec<(&'static str, Program)> {
    let there = |(path, program): (_, Option<_>)| program.map(|program| (path, program));
    programs.into_iter().filter_map(there).collect()
}

impl<F> NeuralOde<F> {
    /// A block that solves `field` as `options` say.
    pub const fn new(field: F, options: SolveOptions) -> Self {
        Self { field, options }
    }

    /// The same block with other options.
    #[must_use]
    pub fn with_options(mut self, options: SolveOptions) -> Self {
        self.options = options;
        self
    }

    /// Solves from `y0` and returns `y(t1)` with the statistics of the forward solve.
    ///
    /// On a taped `y0` what the adjoint needs of the solve, the accepted steps in most cases
    /// ([`neuralode_core::ode::adjoint::Kept`]), stays in memory until the backward pass ([`crate::try_backward`]) has
    /// used it.
    ///
    /// # Errors
    /// Those of [`neuralode_core::ode::solve::record`].
    pub fn try_forward_with_stats<const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        y0: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, Stats), SolveError>
    where
        F: TensorField<N, E, D>,
    {
        let t1 = self.options.t1;
        self.forward_saving(End { t1 }, y0)
    }

    /// Solves from `y0` and returns the solution at `times`, with the statistics of the forward solve.
    ///
    /// The values come from the interpolant of the accepted steps, which are those of a solve without
    /// `times`; the one at `t1` is that of [`Self::try_forward_with_stats`], bit for bit. Every adjoint
    /// differentiates through them. Costs one linear combination of the stages per time, and one more
    /// vector-Jacobian product per step with times inside in the discrete adjoint.
    ///
    /// # Shapes
    /// `(B, N)` to `(times.len(), B, N)`.
    ///
    /// # Errors
    /// [`SolveError::NoTimes`], [`SolveError::TimeOutsideSpan`] and [`SolveError::UnorderedTimes`] unless
    /// `times` lie between `options.t0` and `options.t1` (both may be among them) in the order of the solve; a
    /// time may be repeated. Those of [`neuralode_core::ode::solve::record`].
    ///
    /// # Examples
    /// With `Decay` of [`NeuralOde`], `dy/dt = -y`:
    /// ```
    /// # use dfdx::prelude::*;
    /// # use neuralode_runtime::{NeuralOde, SolveError, SolveOptions, TensorField};
    /// # #[derive(Clone)]
    /// # struct Decay;
    /// # impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Decay {
    /// #     type To<E2: Dtype, D2: Device<E2>> = Decay;
    /// #     fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
    /// #         visitor: &mut V,
    /// #     ) -> Result<Option<Decay>, V::Err> {
    /// #         visitor.visit_fields((), |()| Decay)
    /// #     }
    /// # }
    /// # impl<const N: usize, E: Dtype, D: Device<E>> TensorField<N, E, D> for Decay {
    /// #     fn try_eval<B: Dim, T: Tape<E, D>>(
    /// #         &self,
    /// #         _t: f64,
    /// #         y: Tensor<(B, Const<N>), E, D, T>,
    /// #     ) -> Result<Tensor<(B, Const<N>), E, D, T>, SolveError> {
    /// #         y.try_negate().map_err(SolveError::device)
    /// #     }
    /// # }
    /// let block = NeuralOde::new(Decay, SolveOptions::new(0.0, 2.0, 1e-8, 1e-8));
    /// let y0: Tensor<Rank2<1, 1>, f64, _> = Cpu::default().tensor([[3.0]]);
    /// let (ys, _) = block.try_forward_at(y0, &[0.0, 0.5, 2.0])?;
    /// for (y, t) in ys.as_vec().iter().zip([0.0, 0.5, 2.0_f64]) {
    ///     assert!((y - 3.0 * (-t).exp()).abs() < 1e-6);
    /// }
    /// # Ok::<(), SolveError>(())
    /// ```
    pub fn try_forward_at<const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        y0: Tensor<(B, Const<N>), E, D, T>,
        times: &[f64],
    ) -> Result<(Tensor<(usize, B, Const<N>), E, D, T>, Stats), SolveError>
    where
        F: TensorField<N, E, D>,
    {
        let times = times.to_vec();
        self.forward_saving(At { times }, y0)
    }

    fn forward_saving<const N: usize, B, E, D, T, W>(
        &self,
        saved: W,
        y0: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError>
    where
        B: Dim,
        E: Dtype,
        D: Device<E>,
        T: Tape<E, D>,
        W: Saved<B, N, E, D>,
        F: TensorField<N, E, D>,
    {
        if y0.shape().num_elements() == 0 {
            let shape = y0.shape().concrete().into();
            return Err(SolveError::EmptyBatch { shape });
        }
        let y0 = y0.try_contiguous().map_err(SolveError::device)?;
        let block = self;
        let forward = Forward { block, saved, y0 };
        let generated = self.options.backend == Backend::Kernels;
        if generated && (storage::covers::<E, D>() || on_a_gpu::<E, D>()) {
            F::with_kernel(forward).unwrap_or_else(Forward::solve_portably)
        } else {
            forward.solve_portably()
        }
    }
}

/// A solve from a contiguous `y0` that is not empty, on its way to an engine.
struct Forward<'b, const N: usize, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
{
    block: &'b NeuralOde<F>,
    saved: W,
    y0: Tensor<(B, Const<N>), E, D, T>,
}

impl<const N: usize, B, E, D, T, F, W> Forward<'_, N, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    /// By dfdx's operations: the field has no kernels, they are not of its tensors (one is frozen, say), or they cannot
    /// do what is asked for.
    fn solve_portably(self) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        portable::forward(self.block, self.saved, self.y0)
    }
}

impl<const N: usize, B, E, D, T, F, W> KernelVisitor<N> for Forward<'_, N, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    type Output = Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError>;

    fn visit<K: TileField<N>>(self) -> Self::Output {
        #[cfg(feature = "cuda")]
        if on_a_gpu::<E, D>() {
            return self.on_a_gpu::<K>();
        }
        self.on_the_processor::<K>()
    }
}

/// Whether there may be kernels for a GPU on this device and for this dtype.
#[cfg_attr(
    not(feature = "cuda"),
    allow(
        clippy::extra_unused_type_parameters,
        reason = "there is no such device"
    )
)]
fn on_a_gpu<E: Dtype, D: Device<E>>() -> bool {
    #[cfg(feature = "cuda")]
    return cuda::covers::<E, D>();
    #[cfg(not(feature = "cuda"))]
    false
}

impl<E: Dtype, D: Device<E>, F: TensorCollection<E, D>> TensorCollection<E, D> for NeuralOde<F> {
    type To<E2: Dtype, D2: Device<E2>> = NeuralOde<F::To<E2, D2>>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields(
            Self::module("field", |s| &s.field, |s| &mut s.field),
            |field| NeuralOde::new(field, SolveOptions::default()),
        )
    }
}

impl<F> NonMutableModule for NeuralOde<F> {}

impl<const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>, F>
    Module<Tensor<(B, Const<N>), E, D, T>> for NeuralOde<F>
where
    F: TensorField<N, E, D>,
{
    type Output = Tensor<(B, Const<N>), E, D, T>;
    type Error = SolveError;

    fn try_forward(&self, y0: Tensor<(B, Const<N>), E, D, T>) -> Result<Self::Output, SolveError> {
        self.try_forward_with_stats(y0).map(|(y1, _)| y1)
    }
}
