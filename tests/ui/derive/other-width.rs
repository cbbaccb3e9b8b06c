// Layers of another width than the type of the field.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dense(4 => 3))]
    head: Dense<4, 2, Identity, E, D>,
}

fn main() {}
