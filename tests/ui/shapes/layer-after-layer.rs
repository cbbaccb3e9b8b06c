// A layer that takes another number of features than the one before it produces.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(4 => 20, tanh), Dense(12 => 2)],
    }
}

fn main() {}
