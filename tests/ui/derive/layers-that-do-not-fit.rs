// A layer that does not fit the one before it.
use neuralode::prelude::*;

use neuralode::layer::{activation::{Identity, Tanh}, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dense(4 => 8, tanh))]
    lift: Dense<4, 8, Tanh, E, D>,
    #[layers(Dense(9 => 2))]
    head: Dense<9, 2, Identity, E, D>,
}

fn main() {}
