// A pool behind a layer that leaves no image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 28, 28],
        head: [Flatten, MaxPool2d(kernel: 2)],
    }
}

fn main() {}
