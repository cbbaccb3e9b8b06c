// A convolution of three channels where one enters.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 28, 28],
        conv: Conv2d(3 => 8, kernel: 3),
    }
}

fn main() {}
