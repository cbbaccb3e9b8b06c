// A name before a layer of a list.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [first: Dense(8), Dense(2)],
    }
}

fn main() {}
