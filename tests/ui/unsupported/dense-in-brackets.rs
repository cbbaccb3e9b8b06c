// Arguments of a layer in brackets.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense[4],
    }
}

fn main() {}
