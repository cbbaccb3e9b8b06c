// A width with a decimal point.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4.0 => 2),
    }
}

fn main() {}
