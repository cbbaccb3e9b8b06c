// An enum instead of a struct.
use neuralode::prelude::*;

neural_ode! {
    enum Model {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
