//! A model derived from a struct that is written by hand.

use neuralode::{
    layer::{
        activation::{Identity, Tanh},
        Dense,
    },
    prelude::*,
};

use crate::training::{self, Losses};

/// A classifier of points, with a name.
#[derive(Clone, Debug, OdeModel)]
#[ode_model(input: [2])]
struct Disc<E: Dtype = f32, D: Device<E> = Cpu> {
    /// From the plane to the state.
    #[layers(Dense(2 => 4, tanh))]
    pub(crate) lift: Dense<2, 4, Tanh, E, D>,
    /// The flow.
    #[ode(
        field(t, y): [Append(t), Dense(5 => 8, tanh), Dense(8 => 4)],
        span: 0.0..1.0,
        solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
    )]
    pub(crate) flow: NeuralOde<DiscFlowField<E, D>>,
    /// From the state to a number.
    #[layers(Dense(4 => 4, tanh), Dense(4 => 1))]
    pub(crate) head: (Dense<4, 4, Tanh, E, D>, Dense<4, 1, Identity, E, D>),
    /// No stage.
    #[ode_model(skip)]
    pub(crate) name: String,
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(9);
    let mut model = Disc::<f32, _>::build(&dev);
    model.name.push_str("disc");
    let x: Tensor<Rank2<8, 2>, f32, _> = dev.sample_uniform();
    training::train(&mut model, &x, |y: Tensor<Rank2<8, 1>, f32, _, _>| {
        (y - 1.0).square().mean()
    })
}
