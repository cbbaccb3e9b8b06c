// A number instead of a setting.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(4)]
struct Model<E: Dtype, D: Device<E>> {
    #[layers(Dense(4 => 2))]
    head: Dense<4, 2, Identity, E, D>,
}

fn main() {}
