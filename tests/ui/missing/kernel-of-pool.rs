// A pool without the size of its window.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        pool: MaxPool2d,
    }
}

fn main() {}
