// A pool with zeros around its image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        pool: MaxPool2d(kernel: 2, padding: 1),
    }
}

fn main() {}
