// A model without an input.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        head: Dense(4 => 2),
    }
}

fn main() {}
