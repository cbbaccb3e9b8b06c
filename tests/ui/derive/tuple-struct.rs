// A struct whose fields have no names.
use neuralode::prelude::*;

use neuralode::layer::{activation::Identity, Dense};

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>>(Dense<4, 2, Identity, E, D>);

fn main() {}
