//! A model of any width: its sizes are constants among its parameters.

use neuralode::prelude::*;

use crate::training::{self, Losses};

neural_ode! {
    /// A flow of `WIDTH` features.
    #[derive(Clone, Debug)]
    pub struct Flow<const WIDTH: usize, const HIDDEN: usize = 8> {
        input: [WIDTH],
        ode: Ode {
            field(t, y): [Dense(WIDTH => HIDDEN, tanh), Dense(HIDDEN => WIDTH)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(8);
    let mut model = Flow::<3, 6, f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 3>, f32, _> = dev.sample_uniform();
    training::train(&mut model, &x, |y: Tensor<Rank2<8, 3>, f32, _, _>| {
        y.square().mean()
    })
}
