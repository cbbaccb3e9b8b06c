// A convolution without channels.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(kernel: 3),
    }
}

fn main() {}
