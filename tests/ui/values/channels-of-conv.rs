// A list where the channels of a convolution belong.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d([8], kernel: 3),
    }
}

fn main() {}
