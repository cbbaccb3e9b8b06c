//! A block through dfdx's operations and tape, on any device.

use dfdx::{
    shapes::{Const, Dim, Dtype},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    adjoint::{Cotangent, Kept},
    backward::report,
    engine::tensor::{accumulate, accumulate_flat, DeviceErr, TensorEngine, TensorField},
    error::SolveError,
    saved_points::solve_at,
    state::State,
    stats::Stats,
    tableau::ButcherTableau,
    vector_field::Differentiable,
};

use super::{saved::Saved, NeuralOde};

/// Solves from a contiguous `y0` that is not empty.
pub(super) fn forward<const S: usize, const N: usize, B, E, D, T, F, W>(
    block: &NeuralOde<F>,
    tableau: &'static ButcherTableau<S>,
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
    let options = block.options.clone();
    let mut engine = TensorEngine::new(&block.field);
    let mut kept = T::OWNS_TAPE.then(|| Kept::new(tableau, &options));
    let (values, stats) = solve_at(
        &mut engine,
        tableau,
        y0.clone(),
        saved.times(),
        &options,
        &mut kept,
    )?;
    if let Some(kept) = &mut kept {
        kept.finish(saved.times(), &values);
    }
    let out = W::join(values)?;
    if let Some(kept) = kept {
        let (field, out) = (block.field.clone(), out.clone());
        tape.add_backward_op(move |gradients| {
            gradients.try_alloc_for(&out)?;
            let values = saved.split(gradients.get(&out))?;
            let times = saved.times().iter().copied();
            let cotangents: Vec<_> = times
                .zip(values)
                .map(|(t, value)| Cotangent { t, value })
                .collect();
            backward_operation(&field, &kept, &y0, &cotangents, gradients)
        });
    }
    Ok((out.put_tape(tape), stats))
}

/// Pulls the gradients of the saved values back into those of `y0` and of the field's parameters.
fn backward_operation<const S: usize, const N: usize, B: Dim, E: Dtype, D: Device<E>, F>(
    field: &F,
    kept: &Kept<Tensor<(B, Const<N>), E, D>, S>,
    y0: &Tensor<(B, Const<N>), E, D>,
    cotangents: &[Cotangent<Tensor<(B, Const<N>), E, D>>],
    gradients: &mut Gradients<E, D>,
) -> Result<(), DeviceErr<D>>
where
    F: TensorField<N, E, D>,
{
    let mut engine = TensorEngine::new(field);
    let pulled = kept
        .pull_back(&mut engine, cotangents)
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
