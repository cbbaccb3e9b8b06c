// An input that is a number and no shape.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: 4,
        head: Dense(4 => 2),
    }
}

fn main() {}
