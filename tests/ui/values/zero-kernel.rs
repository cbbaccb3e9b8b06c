// A window of no pixels.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, kernel: 0),
    }
}

fn main() {}
