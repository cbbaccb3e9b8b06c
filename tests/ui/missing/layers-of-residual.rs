// A residual layer without layers.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        skip: Residual[],
    }
}

fn main() {}
