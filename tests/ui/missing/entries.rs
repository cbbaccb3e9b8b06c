// A model without anything.
use neuralode::prelude::*;

neural_ode! {
    struct Model {}
}

fn main() {}
