// The same without an activation: the second number is no activation.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [20],
        head: Dense(20, 10),
    }
}

fn main() {}
