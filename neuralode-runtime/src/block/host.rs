//! A block through generated kernels, on the processor.
//!
//! The types are compared once per call, in [`crate::engine::host::storage`].

use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    adjoint::{Cotangent, Kept, Pullback},
    backward::report,
    engine::{
        host::{
            kernel::TileField,
            point,
            real::Real,
            rows::RowScalar,
            storage::{numbers_mut, read, same},
            Generated, HostEngine, Params, PointEngine, Tiles,
        },
        tensor::{
            accumulate_numbers, accumulate_params, flat_parameters, DeviceErr, KernelVisitor,
            TensorField,
        },
    },
    error::SolveError,
    saved_points::solve_at,
    state::State,
    stats::Stats,
    tableau::ButcherTableau,
    vector_field::Differentiable,
};

use super::{portable, saved::Saved, NeuralOde};

/// Samples per tile: two vectors of the widest registers in either type.
const LANES_F32: usize = 32;
const LANES_F64: usize = 16;

/// A solve from a contiguous `y0` that is not empty, waiting for the kernels of its field.
pub(super) struct Forward<'b, const S: usize, const N: usize, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
{
    pub(super) block: &'b NeuralOde<F>,
    pub(super) tableau: &'static ButcherTableau<S>,
    pub(super) saved: W,
    pub(super) y0: Tensor<(B, Const<N>), E, D, T>,
}

impl<const S: usize, const N: usize, B, E, D, T, F, W> KernelVisitor<N>
    for Forward<'_, S, N, B, E, D, T, F, W>
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
        // Known while compiling, so that one of them is: `covers` lets no third type through.
        if const { size_of::<E>() == size_of::<f32>() } {
            self.run::<K, f32, LANES_F32>()
        } else {
            self.run::<K, f64, LANES_F64>()
        }
    }
}

impl<const S: usize, const N: usize, B, E, D, T, F, W> Forward<'_, S, N, B, E, D, T, F, W>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    /// `R` is `E` under the name that the kernels know.
    fn run<K: TileField<N>, R: RowScalar, const L: usize>(
        self,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError> {
        let params = same::<Vec<E>, Vec<R>>(flat_parameters(&self.block.field)?);
        if self.y0.shape().num_elements() == N && point::fits::<K, N>() {
            let engine = params.and_then(PointEngine::<K, R, N>::new);
            self.solve_with::<K, R, _>(engine)
        } else {
            let engine = params.and_then(HostEngine::<Generated<K, R>, R, N, L>::new);
            self.solve_with::<K, R, _>(engine)
        }
    }

    fn solve_with<K: TileField<N>, R: RowScalar, G>(
        self,
        engine: Option<G>,
    ) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError>
    where
        G: Differentiable<State: Samples<R>, Params = Params<R>> + 'static,
    {
        let Self {
            block,
            tableau,
            saved,
            y0,
        } = self;
        let start = read::<_, _, _, _, R>(&y0).map(|rows| G::State::from_rows(rows.as_slice()));
        let (Some(mut engine), Some(start)) = (engine, start) else {
            // The field's tensors are not those of its kernels: one is frozen, say.
            return portable::forward(block, tableau, saved, y0);
        };
        let (y0, mut tape) = y0.split_tape();
        let options = block.options.clone();
        let mut kept = T::OWNS_TAPE.then(|| Kept::new(tableau, &options));
        let (values, stats) = solve_at(
            &mut engine,
            tableau,
            start,
            saved.times(),
            &options,
            &mut kept,
        )?;
        let shape = saved.shape(y0.shape().0);
        let out = tensor(&values, y0.device(), shape).map_err(SolveError::device)?;
        if let Some(mut kept) = kept {
            kept.finish(saved.times(), &values);
            let (field, out) = (block.field.clone(), out.clone());
            tape.add_backward_op(move |gradients| {
                let cotangent = numbers_mut::<E, D, R>(gradients.get_or_alloc_mut(&out)?);
                let Some(rows) = cotangent else {
                    return Ok(());
                };
                let times = saved.times().iter();
                let cotangents: Vec<_> = times
                    .zip(rows.chunks_exact(y0.shape().num_elements()))
                    .map(|(t, rows)| Cotangent {
                        t: *t,
                        value: G::State::cotangent_from_rows(rows),
                    })
                    .collect();
                let pulled = kept.pull_back(&mut engine, &cotangents);
                write_gradients::<R, N, _, _, _, _, _>(&field, K::PARAMS, pulled, &y0, gradients)
            });
        }
        Ok((out.put_tape(tape), stats))
    }
}

/// A host engine's state as rows of features.
trait Samples<R>: State {
    fn from_rows(rows: &[R]) -> Self;
    /// The same as a cotangent, which is zero where there is no sample.
    fn cotangent_from_rows(rows: &[R]) -> Self;
    fn to_rows(&self) -> Vec<R>;
}

impl<R: Real, const N: usize, const L: usize> Samples<R> for Tiles<R, N, L> {
    fn from_rows(rows: &[R]) -> Self {
        Self::from_rows(rows)
    }

    fn cotangent_from_rows(rows: &[R]) -> Self {
        Self::from_rows(rows).with_empty_padding()
    }

    fn to_rows(&self) -> Vec<R> {
        self.to_rows()
    }
}

/// One sample.
impl<R: Real, const N: usize> Samples<R> for [R; N] {
    fn from_rows(rows: &[R]) -> Self {
        core::array::from_fn(|n| rows.get(n).copied().unwrap_or_default())
    }

    fn cotangent_from_rows(rows: &[R]) -> Self {
        Self::from_rows(rows)
    }

    fn to_rows(&self) -> Vec<R> {
        self.to_vec()
    }
}

/// States one after the other as a tensor.
fn tensor<R: RowScalar, Y: Samples<R>, S: Shape, E: Dtype, D: Device<E>>(
    values: &[Y],
    device: &D,
    shape: S,
) -> Result<Tensor<S, E, D>, DeviceErr<D>> {
    let mut values = values.iter().map(Samples::to_rows);
    let mut rows = values.next().unwrap_or_default();
    rows.extend(values.flatten());
    let rows = same::<Vec<R>, Vec<E>>(rows).unwrap_or_default();
    device.try_tensor_from_vec(rows, shape)
}

/// Adds what an adjoint gave to the gradients of `y0` and of the field's parameters; NaN and a report if it
/// failed.
fn write_gradients<R: RowScalar, const N: usize, Y: Samples<R>, B, E, D, F>(
    field: &F,
    parameters: usize,
    pulled: Result<Pullback<Y, Params<R>>, SolveError>,
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
            (vec![nan; count], vec![nan; parameters], Err(error))
        }
    };
    report(outcome);
    let y_bar = same::<Vec<R>, Vec<E>>(y_bar).unwrap_or_default();
    accumulate_numbers(y0, &y_bar, gradients)?;
    let theta_bar = same::<Vec<R>, Vec<E>>(theta_bar).unwrap_or_default();
    accumulate_params(field, &theta_bar, gradients)
}
