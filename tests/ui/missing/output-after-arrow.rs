// A dense layer with an arrow and no width behind it.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 =>, tanh),
    }
}

fn main() {}
