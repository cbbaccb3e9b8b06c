//! A block through dfdx's operations and tape, on any device.

use dfdx::{
    shapes::{Const, Dim, Dtype},
    tensor::{Gradients, PutTape, SplitTape, Tape, Tensor},
    tensor_ops::Device,
};

use crate::{
    adjoint::{self, Cotangent},
    backward::report,
    engine::tensor::{
        accumulate, accumulate_flat, with_fresh_identity, DeviceErr, TensorEngine, TensorField,
    },
    error::SolveError,
    options::SolveOptions,
    solve::solve,
    state::State,
    stats::Stats,
    tableau::ButcherTableau,
    trajectory::Trajectory,
    vector_field::Differentiable,
};

use super::{forward_stats, NeuralOde};

/// Solves from a contiguous `y0` that is not empty.
pub(super) fn forward<
    const S: usize,
    const N: usize,
    B: Dim,
    E: Dtype,
    D: Device<E>,
    T: Tape<E, D>,
    F: TensorField<N, E, D>,
>(
    block: &NeuralOde<F>,
    tableau: &'static ButcherTableau<S>,
    y0: Tensor<(B, Const<N>), E, D, T>,
) -> Result<(Tensor<(B, Const<N>), E, D, T>, Stats), SolveError> {
    let (y0, mut tape) = y0.split_tape();
    let options = block.options;
    let mut engine = TensorEngine::new(&block.field);
    let mut trajectory = Trajectory::new(tableau);
    let solution = if T::OWNS_TAPE {
        solve(&mut engine, tableau, y0.clone(), &options, &mut trajectory)
    } else {
        solve(&mut engine, tableau, y0.clone(), &options, &mut ())
    }?;
    let stats = forward_stats(&solution);
    if solution.accepted == 0 {
        // An empty span: the identity needs no operation on the tape.
        return Ok((y0.put_tape(tape), stats));
    }
    let y1 = with_fresh_identity(solution.y)?;
    if T::OWNS_TAPE {
        let (field, y1) = (block.field.clone(), y1.clone());
        tape.add_backward_op(move |gradients| {
            backward_operation(&field, &trajectory, &y0, &y1, &options, gradients)
        });
    }
    Ok((y1.put_tape(tape), stats))
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
    let cotangent = Cotangent {
        t: options.t1,
        value: gradients.get(y1),
    };
    let mut engine = TensorEngine::new(field);
    let pulled = adjoint::pull_back(&mut engine, trajectory, &[cotangent], options)
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
