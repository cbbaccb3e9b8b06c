// The arguments of a layer in braces.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense { inputs: 4, outputs: 2 },
    }
}

fn main() {}
