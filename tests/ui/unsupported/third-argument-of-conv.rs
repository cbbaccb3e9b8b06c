// A window of a convolution by position.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, relu, 3, kernel: 3),
    }
}

fn main() {}
