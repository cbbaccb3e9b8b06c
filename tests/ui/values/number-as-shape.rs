// A number where the new shape should be.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        fold: Reshape(4),
    }
}

fn main() {}
