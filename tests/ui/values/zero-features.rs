// No features to add.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        more: Augment(0),
    }
}

fn main() {}
