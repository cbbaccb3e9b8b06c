// A layer that adds features without a number of them.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        more: Augment,
    }
}

fn main() {}
