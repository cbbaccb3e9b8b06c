// A change of shape without the new one.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        fold: Reshape(),
    }
}

fn main() {}
