//! A convolutional ODE-Net, as for MNIST: images are lifted to channels, flow, and are pooled to classes.

use neuralode::prelude::*;

use crate::training::{self, Losses};

neural_ode! {
    struct OdeNet {
        input: [1, 8, 8],
        encoder: Conv2d(1 => 4, relu, kernel: 3, stride: 2, padding: 1),
        ode: Ode {
            field(t, y): [Conv2d(4 => 4, tanh, kernel: 3, padding: 1), Conv2d(4 => 4, kernel: 3, padding: 1)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: [GlobalAvgPool, Dense(4 => 10)],
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(7);
    let mut model = OdeNet::<f32, _>::build(&dev);
    let images: Tensor<Rank4<8, 1, 8, 8>, f32, _> = dev.sample_uniform();
    let targets = dev.one_hot_encode(Const::<10>, [0, 1, 2, 3, 4, 5, 6, 7]);
    training::train(&mut model, &images, |logits| {
        cross_entropy_with_logits_loss(logits, targets.clone())
    })
}
