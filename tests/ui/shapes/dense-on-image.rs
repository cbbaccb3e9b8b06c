// A dense layer on an image that was not flattened.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [28, 28],
        head: Dense(784 => 10),
    }
}

fn main() {}
