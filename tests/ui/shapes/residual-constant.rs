// A residual layer whose layers return a constant of another width.
use neuralode::prelude::*;

const HIDDEN: usize = 8;

neural_ode! {
    struct Model {
        input: [4],
        skip: Residual[Dense(4 => 8, tanh), Dense(8 => HIDDEN)],
    }
}

fn main() {}
