// A field that says twice what it is.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dense(4 => 2))]
    #[ode_model(skip)]
    head: Dense<4, 2, Identity, E, D>,
}

fn main() {}
