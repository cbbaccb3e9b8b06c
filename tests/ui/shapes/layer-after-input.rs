// A first layer that does not fit the input.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(5 => 2),
    }
}

fn main() {}
