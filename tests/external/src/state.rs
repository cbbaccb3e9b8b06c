//! Batch normalisation in a stage, dropout in a stage and in a field: the state goes into every call and comes out of it.

use neuralode::prelude::*;

use crate::training::Losses;

neural_ode! {
    struct Noisy {
        input: [3],
        norm: BatchNorm(momentum: 0.3),
        lift: [Dense(3 => 6, tanh), Dropout(0.1)],
        ode: Ode {
            field(t, y): [Dense(6 => 6, tanh), LayerNorm, Dropout(0.1)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(6 => 1),
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(5);
    let mut model = Noisy::<f32, _>::build(&dev);
    let x: Tensor<Rank2<16, 3>, f32, _> = dev.sample_normal();
    let config = AdamConfig {
        lr: 1e-2,
        ..AdamConfig::default()
    };
    let mut optimizer = Adam::new(&model, config);
    let mut gradients = model.try_alloc_grads().map_err(SolveError::device)?;
    let mut state = model.initial_state(42)?;
    let mut losses = Vec::new();
    for _ in 0..10 {
        let (y, next, _) = model.try_forward_traced_with_state(x.clone(), gradients, &state)?;
        let loss = (y - 2.0).square().mean();
        losses.push(loss.array());
        (gradients, _) = try_backward(loss)?;
        optimizer
            .update(&mut model, &gradients)
            .map_err(|error| format!("{error:?}"))?;
        model
            .try_zero_grads(&mut gradients)
            .map_err(SolveError::device)?;
        state = next;
    }
    assert_eq!((state.norm.batches, state.ode.calls), (10, 10));
    let (y, same, _) = model.try_forward_with_state(x.clone(), &state, Mode::Inference)?;
    let (again, _, _) = model.try_forward_with_state(x, &same, Mode::Inference)?;
    assert_eq!(y.as_vec(), again.as_vec());
    Ok(Losses::of(&losses))
}
