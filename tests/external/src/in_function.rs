//! A model in a function body, with several stages behind its block.

use neuralode::prelude::*;

use crate::training::{self, Losses};

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    const WIDTH: usize = 6;

    neural_ode! {
        struct Regression {
            input: [3],
            lift: Dense(3 => WIDTH),
            flow: Ode {
                field(t, y): Dense(WIDTH => WIDTH, sin),
                span: -1..1,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
            mix: [Dense(4, relu), Dense(1)],
            bound: sigmoid,
        }
    }

    let dev = AutoDevice::seed_from_u64(6);
    let mut model = Regression::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 3>, f32, _> = dev.sample_uniform();
    training::train(&mut model, &x, |y: Tensor<Rank2<8, 1>, f32, _, _>| {
        y.square().mean()
    })
}
