// A stage without layers.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: [],
        head: Dense(4 => 2),
    }
}

fn main() {}
