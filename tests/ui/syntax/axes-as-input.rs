// Several axes as the inputs of a layer.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2, 2],
        head: Dense([2, 2] => 8),
    }
}

fn main() {}
