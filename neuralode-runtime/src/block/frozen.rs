//! Vector fields with state: frozen for a solve, advanced once behind it.

use core::fmt;

use dfdx::{
    nn::{ModuleVisitor, TensorCollection},
    shapes::{Const, Dim, Dtype},
    tensor::{NoneTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    block::NeuralOde,
    layer::Mode,
    tensor::{flat_parameters, KernelVisitor, TensorField},
};
use neuralode_core::{
    kernel::TileField,
    ode::{choices::StepSizes, error::SolveError, stats::Stats},
};

/// A vector field whose layers have state ([`crate::layer::Layer`]). The macro implements it.
///
/// One solve is of `f(t, y)` with the state as it enters, [`Frozen`]: a field that changed from one evaluation to the
/// next would have no solution, and no adjoint could find its way back.
pub trait StatefulField<const N: usize, E: Dtype, D: Device<E>>:
    TensorCollection<E, D> + Clone + 'static
{
    /// The states of its layers.
    type State: Clone + fmt::Debug + 'static;

    /// See [`TensorField::LANES`].
    const LANES: bool = false;

    /// Shows the kernels of the field in inference to `visitor`, if there are any: see [`TensorField::with_kernel`].
    ///
    /// # Errors
    /// The visitor itself, if there are none.
    fn with_kernel<V: KernelVisitor<N>>(visitor: V) -> Result<V::Output, V> {
        Err(visitor)
    }

    /// Looks at the settings of the layers that its kernels leave out. Blocks ask once per solve by kernels.
    ///
    /// # Errors
    /// [`SolveError::InvalidSetting`] for a setting outside of its domain.
    fn check_settings(&self) -> Result<(), SolveError> {
        Ok(())
    }

    /// The state before the first solve.
    ///
    /// # Errors
    /// [`SolveError::Device`] if the device fails.
    fn try_initial_state(&self, seed: u64) -> Result<Self::State, SolveError>;

    /// Evaluates `f(t, y)`, and says what state comes behind it.
    ///
    /// # Errors
    /// Those of its layers.
    #[allow(
        clippy::type_complexity,
        reason = "a value and a state, both named in full"
    )]
    fn try_eval_with_state<B: Dim, T: Tape<E, D>>(
        &self,
        t: f64,
        mode: Mode,
        state: &Self::State,
        y: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, Self::State), SolveError>;
}

/// A field with its state: a function of `t` and `y`, and so a [`TensorField`].
///
/// Its parameters are those of the field.
#[derive(Clone, Copy, Debug)]
pub struct Frozen<F, S> {
    /// The field.
    pub field: F,
    /// The state in every evaluation.
    pub state: S,
    /// What the evaluations are for.
    pub mode: Mode,
}

impl<E: Dtype, D: Device<E>, F: TensorCollection<E, D>, S> TensorCollection<E, D> for Frozen<F, S> {
    /// The state belongs to this dtype and device, so that a copy on another has none.
    type To<E2: Dtype, D2: Device<E2>> = F::To<E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        let field = Self::module("field", |s| &s.field, |s| &mut s.field);
        visitor.visit_fields(field, |field| field)
    }
}

impl<const N: usize, E: Dtype, D: Device<E>, F> TensorField<N, E, D> for Frozen<F, F::State>
where
    F: StatefulField<N, E, D>,
{
    const LANES: bool = F::LANES;

    fn with_kernel<V: KernelVisitor<N>>(visitor: V) -> Result<V::Output, V> {
        F::with_kernel(visitor)
    }

    fn kernel_parameters(&self) -> Result<Option<Vec<E>>, SolveError> {
        struct Count;

        impl<const N: usize> KernelVisitor<N> for Count {
            type Output = usize;

            fn visit<K: TileField<N>>(self) -> usize {
                K::PARAMS
            }
        }

        if self.mode == Mode::Training {
            return Ok(None);
        }
        self.field.check_settings()?;
        let params = flat_parameters(&self.field)?;
        // Others than those of the kernels if tensors are frozen.
        let is_whole = F::with_kernel(Count).ok() == Some(params.len());
        Ok(is_whole.then_some(params))
    }

    fn try_eval<B: Dim, T: Tape<E, D>>(
        &self,
        t: f64,
        y: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<Tensor<(B, Const<N>), E, D, T>, SolveError> {
        let evaluated = self.field.try_eval_with_state(t, self.mode, &self.state, y);
        evaluated.map(|(dy, _)| dy)
    }
}

/// A value of the solution, the next state, and what the solve cost.
type Solved<const N: usize, B, E, D, T, S> = (Tensor<(B, Const<N>), E, D, T>, S, Stats);

impl<F> NeuralOde<F> {
    /// The block with its field frozen at `state`: a block like any other, which does not advance the state.
    pub fn frozen<const N: usize, E: Dtype, D: Device<E>>(
        &self,
        state: &F::State,
        mode: Mode,
    ) -> NeuralOde<Frozen<F, F::State>>
    where
        F: StatefulField<N, E, D>,
    {
        NeuralOde::new(
            Frozen {
                field: self.field.clone(),
                state: state.clone(),
                mode,
            },
            self.options.clone(),
        )
    }

    /// Solves from `y0` with the field frozen at `state`; returns `y(t1)`, the next state, and the statistics of the
    /// forward solve.
    ///
    /// The next state is that behind one more evaluation at the start, `(t0, y0)`, which the statistics count, however
    /// many the solve took: one solve is one call. Every adjoint differentiates through the solve. In inference the
    /// state is constant and generated kernels solve the block, as they solve one without state; in training, and with
    /// layers of your own, dfdx's operations do.
    ///
    /// # Errors
    /// Those of [`neuralode_core::ode::solve::record`] and of the layers; [`SolveError::SharedStepsOnly`] for step
    /// sizes for each sample in training, where a mask depends on a sample's place in the batch.
    pub fn try_forward_with_state<const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        y0: Tensor<(B, Const<N>), E, D, T>,
        state: &F::State,
        mode: Mode,
    ) -> Result<Solved<N, B, E, D, T, F::State>, SolveError>
    where
        F: StatefulField<N, E, D>,
    {
        if mode == Mode::Training && self.options.steps == StepSizes::PerSample {
            return Err(SolveError::SharedStepsOnly {
                what: "a field with state in training",
            });
        }
        let start = y0.retaped::<NoneTape>();
        let (y1, mut stats) = self.frozen(state, mode).try_forward_with_stats(y0)?;
        if const { size_of::<F::State>() == 0 } {
            return Ok((y1, state.clone(), stats));
        }
        let t0 = self.options.t0;
        let (_, next) = self.field.try_eval_with_state(t0, mode, state, start)?;
        stats.field_calls += 1;
        Ok((y1, next, stats))
    }
}
