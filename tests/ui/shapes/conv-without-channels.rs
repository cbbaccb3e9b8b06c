// A convolution of an image without channels.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [28, 28],
        conv: Conv2d(1 => 8, kernel: 3),
    }
}

fn main() {}
