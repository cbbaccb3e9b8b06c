// A residual layer whose layers return another width.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        skip: Residual[Dense(4 => 8, tanh), Dense(8 => 5)],
    }
}

fn main() {}
