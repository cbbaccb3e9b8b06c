// A misspelt layer.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dens(4 => 2))]
    head: Dense<4, 2, Identity, E, D>,
}

fn main() {}
