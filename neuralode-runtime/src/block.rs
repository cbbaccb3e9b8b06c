//! A Neural ODE as a layer: one operation on dfdx's tape.

use dfdx::{
    nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection},
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::{Device, ReshapeTo},
};

use crate::{
    adjoint,
    backward::report,
    engine::tensor::{
        accumulate, accumulate_flat, with_fresh_identity, DeviceErr, TensorEngine, TensorField,
    },
    error::SolveError,
    options::{SolveOptions, Solver},
    solve::solve,
    state::State,
    stats::Stats,
    tableau::{ButcherTableau, TSIT5},
    trajectory::Trajectory,
    vector_field::Differentiable,
};

/// The map from `y0` to `y(t1)`, where `dy/dt = f(t, y)` and `y(t0) = y0`.
///
/// A layer like any other of dfdx: its parameters are those of the field, and on a taped input the
/// adjoint named in the options becomes one operation on the tape.
///
/// # Shapes
/// `(B, N)` to `(B, N)`. One step size serves the whole batch.
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
    /// On a taped `y0` the accepted steps are kept in memory until the backward pass
    /// ([`crate::try_backward`]) has used them.
    ///
    /// # Errors
    /// Those of [`crate::solve::solve`].
    pub fn try_forward_with_stats<const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        y0: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, Stats), SolveError>
    where
        F: TensorField<N, E, D>,
    {
        match self.options.solver {
            Solver::Tsit5 => self.forward_with(&TSIT5, y0),
        }
    }

    fn forward_with<const S: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, T: Tape<E, D>>(
        &self,
        tableau: &'static ButcherTableau<S>,
        y0: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, Stats), SolveError>
    where
        F: TensorField<N, E, D>,
    {
        if y0.shape().num_elements() == 0 {
            let shape = y0.shape().concrete().into();
            return Err(SolveError::EmptyBatch { shape });
        }
        let (y0, mut tape) = y0
            .try_contiguous()
            .map_err(SolveError::device)?
            .split_tape();
        let options = self.options;
        let mut engine = TensorEngine::new(&self.field);
        let mut trajectory = Trajectory::new(tableau);
        let solution = if T::OWNS_TAPE {
            solve(&mut engine, tableau, y0.clone(), &options, &mut trajectory)
        } else {
            solve(&mut engine, tableau, y0.clone(), &options, &mut ())
        }?;
        let stats = Stats {
            field_calls: solution.evaluations,
            accepted: solution.accepted,
            rejected: solution.rejected,
            vjps: 0,
        };
        if solution.accepted == 0 {
            // An empty span: the identity needs no operation on the tape.
            return Ok((y0.put_tape(tape), stats));
        }
        let y1 = with_fresh_identity(solution.y)?;
        if T::OWNS_TAPE {
            let (field, y1) = (self.field.clone(), y1.clone());
            tape.add_backward_op(move |gradients| {
                backward_operation(&field, &trajectory, &y0, &y1, &options, gradients)
            });
        }
        Ok((y1.put_tape(tape), stats))
    }
}

/// Pulls the gradient of `y1` back into those of `y0` and of the field's parameters.
fn backward_operation<const S: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, F>(
    field: &F,
    trajectory: &Trajectory<Tensor<(B, Const<N>), E, D>, S>,
    y0: &Tensor<(B, Const<N>), E, D>,
    y1: &Tensor<(B, Const<N>), E, D>,
    options: &SolveOptions,
    gradients: &mut Gradients<E, D>,
) -> Result<(), DeviceErr<D>>
where
    F: TensorField<N, E, D>,
{
    gradients.try_alloc_for(y1)?;
    let cotangent = gradients.get(y1);
    let mut engine = TensorEngine::new(field);
    let pulled = adjoint::pull_back(&mut engine, trajectory, cotangent, options)
        .map(|pulled| (pulled.y_bar, pulled.theta_bar, Ok(pulled.stats)))
        .or_else(|error| poison(&mut engine, y0, error));
    match pulled {
        Ok((y_bar, theta_bar, outcome)) => {
            report(outcome);
            accumulate(y0, y_bar, gradients)?;
            accumulate_flat(field, theta_bar, gradients)
        }
        Err(error) => {
            // Not even NaNs could be made: the gradients are incomplete, and the report says so.
            report(Err(error));
            Ok(())
        }
    }
}

/// Gradients full of NaN, beside the reason for them.
fn poison<G: Differentiable>(
    engine: &mut G,
    y0: &G::State,
    error: SolveError,
) -> Result<(G::State, G::Params, Result<Stats, SolveError>), SolveError> {
    let mut y_bar = y0.zeros_like()?;
    let zeros = y_bar.clone();
    zeros.combine_into([(f64::NAN, &zeros)].into_iter(), &mut y_bar)?;
    let mut theta_bar = engine.zero_params()?;
    let zeros = theta_bar.clone();
    zeros.combine_into([(f64::NAN, &zeros)].into_iter(), &mut theta_bar)?;
    Ok((y_bar, theta_bar, Err(error)))
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
