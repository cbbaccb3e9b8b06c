//! A block through dfdx's operations and tape, on any device.

use dfdx::{
    shapes::{Const, Dim, Dtype, HasShape, Shape},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    backward::report,
    block::{
        each::{pull_back_each, solve_each},
        saved::Saved,
        solving::{solve_any, Outcome, Solving},
        NeuralOde,
    },
    tensor::{accumulate, accumulate_flat, DeviceErr, TensorEngine, TensorField, TensorState},
};
use neuralode_core::{
    engine::erased::{AnyField, AnyState},
    ode::{
        choices::StepSizes,
        error::SolveError,
        field::{back::Cotangent, Differentiable},
        state::State,
        stats::Stats,
    },
};

/// Solves from a contiguous `y0` that is not empty.
pub(super) fn forward<const N: usize, B, E, D, T, F, W>(
    block: &NeuralOde<F>,
    saved: W,
    y0: Tensor<(B, Const<N>), E, D, T>,
) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    if block.options.steps == StepSizes::PerSample {
        return one_by_one(block, saved, y0);
    }
    let (y0, mut tape) = y0.split_tape();
    let mut engine = AnyField::new(TensorEngine::<F, B, N, E, D>::new(block.field.clone()));
    let Outcome {
        values,
        stats,
        pull_back,
    } = solve_any(Solving {
        field: &mut engine,
        y0: AnyState::new(TensorState(y0.clone())),
        times: saved.times(),
        options: &block.options,
        keep: T::OWNS_TAPE,
    })?;
    let values = values
        .iter()
        .filter_map(AnyState::get::<TensorState<_, E, D>>);
    let out = W::join(values.map(|value| value.0.clone()).collect())?;
    if let Some(pull_back) = pull_back {
        let (field, out) = (block.field.clone(), out.clone());
        tape.add_backward_op(move |gradients| {
            gradients.try_alloc_for(&out)?;
            let values = saved.split(gradients.get(&out))?;
            let times = saved.times().iter().copied();
            let cotangents: Vec<_> = times
                .zip(
                    values
                        .into_iter()
                        .map(|value| AnyState::new(TensorState(value))),
                )
                .map(|(t, value)| Cotangent { t, value })
                .collect();
            let pulled = pull_back(&mut engine, &cotangents)
                .map(|pulled| (pulled.y_bar, pulled.theta_bar, Ok(pulled.stats)))
                .or_else(|error| {
                    poison(&mut engine, &AnyState::new(TensorState(y0.clone())), error)
                });
            write_gradients(&field, pulled, &y0, gradients)
        });
    }
    Ok((out.put_tape(tape), stats))
}

/// The same with steps for each sample, one after the other.
fn one_by_one<const N: usize, B, E, D, T, F, W>(
    block: &NeuralOde<F>,
    saved: W,
    y0: Tensor<(B, Const<N>), E, D, T>,
) -> Result<(Tensor<W::Shape, E, D, T>, Stats), SolveError>
where
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
    W: Saved<B, N, E, D>,
{
    let (y0, mut tape) = y0.split_tape();
    let mut engine = AnyField::new(TensorEngine::<F, usize, N, E, D>::new(block.field.clone()));
    let (times, options) = (saved.times(), &block.options);
    let starts = y0.as_vec();
    let starts = starts.chunks_exact(N);
    let starts = starts.map(|row| state::<N, E, D>(y0.device(), row));
    let starts = starts
        .collect::<Result<_, D::Err>>()
        .map_err(SolveError::device)?;
    let each = solve_each(&mut engine, solve_any, starts, times, options, T::OWNS_TAPE)?;
    let mut rows = Vec::with_capacity(times.len() * y0.shape().num_elements());
    for index in 0..times.len() {
        let values = each.values.iter().filter_map(|values| values.get(index));
        rows.extend(values.flat_map(numbers::<N, E, D>));
    }
    let shape = saved.shape(y0.shape().0);
    let out = y0.device().try_tensor_from_vec(rows, shape);
    let out = out.map_err(SolveError::device)?;
    if let Some(pull_backs) = each.pull_backs {
        let (field, out) = (block.field.clone(), out.clone());
        tape.add_backward_op(move |gradients| {
            gradients.try_alloc_for(&out)?;
            let rows = gradients.get(&out).as_vec();
            let count = y0.shape().num_elements();
            let mut of_samples = Vec::with_capacity(pull_backs.len());
            for sample in 0..pull_backs.len() {
                let mut cotangents = Vec::with_capacity(saved.times().len());
                for (t, rows) in saved.times().iter().zip(rows.chunks_exact(count)) {
                    let value = state::<N, E, D>(y0.device(), &rows[sample * N..][..N])?;
                    cotangents.push(Cotangent { t: *t, value });
                }
                of_samples.push(cotangents);
            }
            let pulled = pull_back_each(&mut engine, &pull_backs, of_samples.into_iter());
            let pulled = match pulled {
                Ok(pulled) => {
                    let rows = pulled.y_bars.iter().flat_map(numbers::<N, E, D>).collect();
                    let y_bar = y0.device().try_tensor_from_vec(rows, *y0.shape())?;
                    Ok((
                        AnyState::new(TensorState(y_bar)),
                        pulled.theta_bar,
                        Ok(pulled.stats),
                    ))
                }
                Err(error) => poison(&mut engine, &AnyState::new(TensorState(y0.clone())), error),
            };
            write_gradients(&field, pulled, &y0, gradients)
        });
    }
    Ok((out.put_tape(tape), each.stats))
}

/// A batch of one.
type One<const N: usize, E, D> = TensorState<(usize, Const<N>), E, D>;

fn state<const N: usize, E: Dtype, D: Device<E>>(
    device: &D,
    row: &[E],
) -> Result<AnyState, D::Err> {
    let tensor = device.try_tensor_from_vec(row.to_vec(), (1, Const::<N>))?;
    Ok(AnyState::new(TensorState(tensor)))
}

fn numbers<const N: usize, E: Dtype, D: Device<E>>(state: &AnyState) -> Vec<E> {
    state
        .get::<One<N, E, D>>()
        .map_or_else(Vec::new, |state| state.0.as_vec())
}

/// Cotangents of `y0` and of the field's parameters, beside what they cost or why they are NaN.
type Pulled = (AnyState, AnyState, Result<Stats, SolveError>);

/// Adds them to the gradients.
fn write_gradients<const N: usize, B: Dim, E: Dtype, D: Device<E>, F>(
    field: &F,
    pulled: Result<Pulled, SolveError>,
    y0: &Tensor<(B, Const<N>), E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<(), DeviceErr<D>>
where
    F: TensorField<N, E, D>,
{
    match pulled {
        Ok((y_bar, theta_bar, outcome)) => {
            report(outcome);
            if let Some(y_bar) = y_bar.get::<TensorState<(B, Const<N>), E, D>>() {
                accumulate(y0, y_bar.0.clone(), gradients)?;
            }
            if let Some(theta_bar) = theta_bar.get::<Vec<TensorState<(usize,), E, D>>>() {
                let flat = theta_bar.iter().map(|state| state.0.clone());
                accumulate_flat(field, flat.collect(), gradients)?;
            }
        }
        // Not even NaNs could be made: the gradients are incomplete, and the report says so.
        Err(error) => report(Err(error)),
    }
    Ok(())
}

/// Gradients full of NaN, beside the reason for them.
fn poison(engine: &mut AnyField, y0: &AnyState, error: SolveError) -> Result<Pulled, SolveError> {
    let mut y_bar = y0.zeros_like()?;
    let zeros = y_bar.clone();
    zeros.combine_into([(f64::NAN, &zeros)].into_iter(), &mut y_bar)?;
    let mut theta_bar = engine.zero_params()?;
    let zeros = theta_bar.clone();
    zeros.combine_into([(f64::NAN, &zeros)].into_iter(), &mut theta_bar)?;
    Ok((y_bar, theta_bar, Err(error)))
}
