// A convolution of features that are no image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [784],
        conv: Conv2d(1 => 8, kernel: 3),
    }
}

fn main() {}
