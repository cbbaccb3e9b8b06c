// A misspelt activation of a convolution.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, rleu, kernel: 3),
    }
}

fn main() {}
