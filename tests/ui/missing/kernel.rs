// A convolution without the size of its window.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8),
    }
}

fn main() {}
