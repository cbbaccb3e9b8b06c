// More layers than a tuple may have.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dense(4 => 2), Dense(2 => 2), Dense(2 => 2), Dense(2 => 2), Dense(2 => 2), Dense(2 => 2), Dense(2 => 2))]
    head: (Dense<4, 2, Identity, E, D>, Dense<2, 2, Identity, E, D>),
}

fn main() {}
