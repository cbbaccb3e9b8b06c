//! A field that depends on time, over a span that runs backwards.

use neuralode::prelude::*;

use crate::training::{self, Losses};

neural_ode! {
    struct Forced {
        input: [2],
        ode: Ode {
            field(time, x): [Append(time), Dense(3 => 8, tanh), Dense(8 => 2)],
            span: 1.0..0.0,
            solver: Tsit5 { rtol: 1e-4, atol: 1e-4 },
            adjoint: Gauss,
        },
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(1);
    let mut model = Forced::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 2>, f32, _> = dev.sample_uniform();
    training::train(&mut model, &x, |y: Tensor<Rank2<8, 2>, f32, _, _>| {
        (y - 1.0).square().mean()
    })
}
