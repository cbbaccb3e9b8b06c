// Widths with a comma between them, as other libraries write them.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [10],
        head: Dense(10, 20, tanh),
    }
}

fn main() {}
