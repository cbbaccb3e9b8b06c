// An input without axes.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [],
        head: Dense(4 => 2),
    }
}

fn main() {}
