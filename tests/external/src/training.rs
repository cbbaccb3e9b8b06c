//! The loop that trains models without state.

use neuralode::prelude::*;

/// Before the first step of the optimizer, and before the last one.
pub(crate) struct Losses {
    pub(crate) first: f32,
    pub(crate) last: f32,
}

impl Losses {
    pub(crate) fn of(all: &[f32]) -> Self {
        let end = |value: Option<&f32>| value.copied().unwrap_or(f32::NAN);
        Self {
            first: end(all.first()),
            last: end(all.last()),
        }
    }
}

/// Trains for ten steps with dfdx's own Adam.
pub(crate) fn train<M, X, Y, D>(
    model: &mut M,
    x: &X,
    loss: impl Fn(Y) -> Tensor<Rank0, f32, D, OwnedTape<f32, D>>,
) -> Result<Losses, Box<dyn std::error::Error>>
where
    D: Device<f32>,
    M: TensorCollection<f32, D> + Module<X::Traced, Output = Y, Error = SolveError>,
    X: Trace<f32, D>,
{
    let mut optimizer = Adam::new(
        model,
        AdamConfig {
            lr: 1e-2,
            ..AdamConfig::default()
        },
    );
    let mut gradients = model.try_alloc_grads().map_err(SolveError::device)?;
    let mut losses = Vec::new();
    for _ in 0..10 {
        let loss = loss(model.try_forward(x.trace(gradients))?);
        losses.extend(loss.as_vec());
        (gradients, _) = try_backward(loss)?;
        optimizer
            .update(model, &gradients)
            .map_err(|error| format!("{error:?}"))?;
        model
            .try_zero_grads(&mut gradients)
            .map_err(SolveError::device)?;
    }
    Ok(Losses::of(&losses))
}
