// A comma is missing between two stages; the second is still checked.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense(4 => 8, tanh)
        head: Dense(8 => 2),
    }
}

fn main() {}
