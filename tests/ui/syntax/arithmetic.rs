// An expression where a number is expected.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense(2 * 2 => 8),
        head: Dense(8 => 2),
    }
}

fn main() {}
