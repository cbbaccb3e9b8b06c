// A third argument of a dense layer.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 2, tanh, bias),
    }
}

fn main() {}
