//! A block through generated kernels, on the processor.
//!
//! Rust cannot say "if `D` is `Cpu` and `E` is `f32`" in a type, so the types are compared here, once per
//! call, and values that have the same type under another name are passed on as that.

use core::any::{Any, TypeId};

use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Cpu, Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    adjoint::{self, Pullback},
    backward::report,
    engine::{
        host::{kernel::TileField, real::Real, HostEngine, Params, Tiles},
        tensor::{
            accumulate_numbers, accumulate_params, flat_parameters, DeviceErr, KernelVisitor,
            TensorField,
        },
    },
    error::SolveError,
    solve::solve,
    stats::Stats,
    tableau::ButcherTableau,
    trajectory::Trajectory,
};

use super::{forward_stats, portable, NeuralOde};

/// Samples per tile: two vectors of the widest registers in either type.
const LANES_F32: usize = 32;
const LANES_F64: usize = 16;

/// Whether kernels run on this device with this dtype.
pub(super) fn covers<E: Dtype, D: Device<E>>() -> bool {
    let dtype = TypeId::of::<E>();
    let known = dtype == TypeId::of::<f32>() || dtype == TypeId::of::<f64>();
    known && TypeId::of::<D>() == TypeId::of::<Cpu>()
}

/// `a` as a `B`, if that is what it is.
fn same<A: 'static, B: 'static>(a: A) -> Option<B> {
    let mut slot = Some(a);
    let slot: &mut dyn Any = &mut slot;
    slot.downcast_mut::<Option<B>>()?.take()
}

/// A solve from a contiguous `y0` that is not empty, waiting for the kernels of its field.
pub(super) struct Forward<'b, const S: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, T, F>
{
    pub(super) block: &'b NeuralOde<F>,
    pub(super) tableau: &'static ButcherTableau<S>,
    pub(super) y0: Tensor<(B, Const<N>), E, D, T>,
}

impl<const S: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, T, F> KernelVisitor<N>
    for Forward<'_, S, N, B, E, D, T, F>
where
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
{
    type Output = Result<(Tensor<(B, Const<N>), E, D, T>, Stats), SolveError>;

    fn visit<K: TileField<N>>(self) -> Self::Output {
        if TypeId::of::<E>() == TypeId::of::<f32>() {
            self.run::<K, f32, LANES_F32>()
        } else {
            self.run::<K, f64, LANES_F64>()
        }
    }
}

impl<const S: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, T, F>
    Forward<'_, S, N, B, E, D, T, F>
where
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
{
    /// `R` is `E` under the name that the kernels know.
    fn run<K: TileField<N>, R: Real, const L: usize>(
        self,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, Stats), SolveError> {
        let Self { block, tableau, y0 } = self;
        let params = same::<Vec<E>, Vec<R>>(flat_parameters(&block.field)?);
        let engine = params.and_then(HostEngine::<K, R, N, L>::new);
        let start = tiles::<R, N, L, _, _, _, _>(&y0);
        let (Some(mut engine), Some(start)) = (engine, start) else {
            // The field's tensors are not those of its kernels: one is frozen, say.
            return portable::forward(block, tableau, y0);
        };
        let (y0, mut tape) = y0.split_tape();
        let options = block.options;
        let mut trajectory = Trajectory::new(tableau);
        let solution = if T::OWNS_TAPE {
            solve(&mut engine, tableau, start, &options, &mut trajectory)
        } else {
            solve(&mut engine, tableau, start, &options, &mut ())
        }?;
        let stats = forward_stats(&solution);
        if solution.accepted == 0 {
            // An empty span: the identity needs no operation on the tape.
            return Ok((y0.put_tape(tape), stats));
        }
        let y1 = tensor(&solution.y, &y0).map_err(SolveError::device)?;
        if T::OWNS_TAPE {
            let (field, y1) = (block.field.clone(), y1.clone());
            tape.add_backward_op(move |gradients| {
                gradients.try_alloc_for(&y1)?;
                let cotangent = tiles::<R, N, L, _, _, _, _>(&gradients.get(&y1));
                let pulled = match cotangent {
                    Some(cotangent) => adjoint::pull_back(
                        &mut engine,
                        &trajectory,
                        cotangent.with_empty_padding(),
                        &options,
                    ),
                    None => return Ok(()),
                };
                write_gradients::<K, R, N, L, _, _, _, _>(&field, pulled, &y0, gradients)
            });
        }
        Ok((y1.put_tape(tape), stats))
    }
}

/// A contiguous batch as tiles, if `R` is `E`.
fn tiles<R: Real, const N: usize, const L: usize, B: Dim, E: Dtype, D: Device<E>, T>(
    batch: &Tensor<(B, Const<N>), E, D, T>,
) -> Option<Tiles<R, N, L>> {
    let mut rows = vec![E::default(); batch.shape().num_elements()];
    batch.copy_into(&mut rows);
    Some(Tiles::from_rows(&same::<Vec<E>, Vec<R>>(rows)?))
}

/// Tiles as a tensor like `like`.
fn tensor<R: Real, const N: usize, const L: usize, B: Dim, E: Dtype, D: Device<E>>(
    tiles: &Tiles<R, N, L>,
    like: &Tensor<(B, Const<N>), E, D>,
) -> Result<Tensor<(B, Const<N>), E, D>, DeviceErr<D>> {
    let rows = same::<Vec<R>, Vec<E>>(tiles.to_rows()).unwrap_or_default();
    like.device().try_tensor_from_vec(rows, *like.shape())
}

/// Adds what an adjoint gave to the gradients of `y0` and of the field's parameters; NaN and a report if it
/// failed.
fn write_gradients<K: TileField<N>, R: Real, const N: usize, const L: usize, B, E, D, F>(
    field: &F,
    pulled: Result<Pullback<Tiles<R, N, L>, Params<R>>, SolveError>,
    y0: &Tensor<(B, Const<N>), E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), DeviceErr<D>>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    F: TensorField<N, E, D>,
{
    let nan = R::from_f64(f64::NAN);
    let (y_bar, theta_bar, outcome) = match pulled {
        Ok(pulled) => (pulled.y_bar.to_rows(), pulled.theta_bar.0, Ok(pulled.stats)),
        Err(error) => {
            let count = y0.shape().num_elements();
            (vec![nan; count], vec![nan; K::PARAMS], Err(error))
        }
    };
    report(outcome);
    let y_bar = same::<Vec<R>, Vec<E>>(y_bar).unwrap_or_default();
    accumulate_numbers(y0, &y_bar, gradients)?;
    let theta_bar = same::<Vec<R>, Vec<E>>(theta_bar).unwrap_or_default();
    accumulate_params(field, &theta_bar, gradients)
}
