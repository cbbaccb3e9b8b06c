// A first layer in a residual layer of another width.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        skip: Residual[Dense(5 => 8, tanh), Dense(8 => 4)],
    }
}

fn main() {}
