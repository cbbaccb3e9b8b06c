// A dense layer without its width.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense,
        head: Dense(2),
    }
}

fn main() {}
