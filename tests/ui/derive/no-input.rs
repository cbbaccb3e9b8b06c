// No input.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dense(4 => 2))]
    head: Dense<4, 2, Identity, E, D>,
}

fn main() {}
