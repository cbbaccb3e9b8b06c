// A model without stages.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
    }
}

fn main() {}
