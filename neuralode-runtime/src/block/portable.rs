//! A block through dfdx's operations and tape, on any device.

use dfdx::{
    shapes::{Const, Dim, Dtype},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    adjoint::Cotangent,
    backward::report,
    engine::{
        erased::{AnyField, AnyState},
        tensor::{accumulate, accumulate_flat, DeviceErr, Flat, TensorEngine, TensorField},
    },
    error::SolveError,
    options::StepSizes,
    state::State,
    stats::Stats,
    vector_field::Differentiable,
};

use super::{
    saved::Saved,
    solving::{solve_any, Outcome, Solving},
    NeuralOde,
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
        return Err(SolveError::SharedStepsOnly {
            what: "a field without generated kernels",
        });
    }
    let (y0, mut tape) = y0.split_tape();
    let mut engine = AnyField::new(TensorEngine::<F, B, N, E, D>::new(block.field.clone()));
    let Outcome {
        values,
        stats,
        pull_back,
    } = solve_any(Solving {
        field: &mut engine,
        y0: AnyState::new(y0.clone()),
        times: saved.times(),
        options: &block.options,
        keep: T::OWNS_TAPE,
    })?;
    let values = values.iter().filter_map(AnyState::get).cloned().collect();
    let out = W::join(values)?;
    if let Some(pull_back) = pull_back {
        let (field, out) = (block.field.clone(), out.clone());
        tape.add_backward_op(move |gradients| {
            gradients.try_alloc_for(&out)?;
            let values = saved.split(gradients.get(&out))?;
            let times = saved.times().iter().copied();
            let cotangents: Vec<_> = times
                .zip(values.into_iter().map(AnyState::new))
                .map(|(t, value)| Cotangent { t, value })
                .collect();
            let pulled = pull_back(&mut engine, &cotangents)
                .map(|pulled| (pulled.y_bar, pulled.theta_bar, Ok(pulled.stats)))
                .or_else(|error| poison(&mut engine, &AnyState::new(y0.clone()), error));
            write_gradients(&field, pulled, &y0, gradients)
        });
    }
    Ok((out.put_tape(tape), stats))
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
            if let Some(y_bar) = y_bar.get::<Tensor<(B, Const<N>), E, D>>() {
                accumulate(y0, y_bar.clone(), gradients)?;
            }
            if let Some(theta_bar) = theta_bar.get::<Vec<Flat<E, D>>>() {
                accumulate_flat(field, theta_bar.clone(), gradients)?;
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
