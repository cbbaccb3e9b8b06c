// A width of zero.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 0),
    }
}

fn main() {}
