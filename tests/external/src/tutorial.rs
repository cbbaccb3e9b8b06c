//! The classifier of the Lux tutorial, verbatim.

use neuralode::prelude::*;

use crate::training::{self, Losses};

neural_ode! {
    /// Images to logits.
    #[derive(Clone, Debug)]
    pub struct MnistOde {
        input: [28, 28],
        encoder: [Flatten, Dense(784 => 20, tanh)],
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Interpolating,
        },
        head: Dense(20 => 10),
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(0);
    let mut model = MnistOde::<f32, _>::build(&dev);
    println!("{}", model.summary());
    let images: Tensor<(usize, Const<28>, Const<28>), f32, _> =
        dev.sample_uniform_like(&(16, Const, Const));
    let labels: Vec<usize> = (0..16).map(|i| i % 10).collect();
    let targets = dev.one_hot_encode(Const::<10>, labels);
    training::train(&mut model, &images, |logits| {
        cross_entropy_with_logits_loss(logits, targets.clone())
    })
}
