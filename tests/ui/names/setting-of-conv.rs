// A misspelt setting of a convolution.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, kernal: 3),
    }
}

fn main() {}
