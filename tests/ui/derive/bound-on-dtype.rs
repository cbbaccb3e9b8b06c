// A bound on the dtype that not every one fulfils.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype + Copy, D: Device<E>> {
    #[layers(Dense(4 => 2))]
    head: Dense<4, 2, Identity, E, D>,
}

fn main() {}
