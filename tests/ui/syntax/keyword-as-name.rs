// A stage named by a keyword.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        type: Dense(4 => 2),
    }
}

fn main() {}
