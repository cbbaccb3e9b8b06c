//! A line turned around, which takes a second dimension.

use neuralode::prelude::*;

use crate::training::{self, Losses};

neural_ode! {
    struct Reflection {
        input: [1],
        more: Augment(1),
        ode: Ode {
            field(t, y): [Residual[Dense(2 => 8, gelu), Dense(8 => 2)], tanh],
            span: 0.0..1.0,
            solver: Bosh3 { rtol: 1e-3, atol: 1e-3 },
        },
        fewer: Project(1),
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(2);
    let mut model = Reflection::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 1>, f32, _> = dev.sample_normal();
    let target = x.clone().negate();
    training::train(&mut model, &x, |y| mse_loss(y, target.clone()))
}
