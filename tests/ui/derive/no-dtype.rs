// A struct without parameters for the dtype and the device.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model {
    #[layers(Dense(4 => 2))]
    head: Dense<4, 2, Identity, f32, Cpu>,
}

fn main() {}
