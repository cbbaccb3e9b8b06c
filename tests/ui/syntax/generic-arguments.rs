// A layer as dfdx writes it.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2],
        head: Dense<2, 8>,
    }
}

fn main() {}
