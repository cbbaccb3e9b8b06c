// Another kind of type.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
enum Model<E: Dtype, D: Device<E>> {
    Head(Dense<4, 2, Identity, E, D>),
}

fn main() {}
