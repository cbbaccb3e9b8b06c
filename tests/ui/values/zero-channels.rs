// A convolution to no channels.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 0, kernel: 3),
    }
}

fn main() {}
