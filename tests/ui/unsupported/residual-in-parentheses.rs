// Layers of a residual layer in parentheses.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        skip: Residual(Dense(4 => 4)),
    }
}

fn main() {}
