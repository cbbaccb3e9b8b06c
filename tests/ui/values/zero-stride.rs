// A window that does not move.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, kernel: 3, stride: 0),
    }
}

fn main() {}
