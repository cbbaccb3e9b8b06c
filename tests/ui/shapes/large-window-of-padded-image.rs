// A window larger than the image with its zeros.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 4, 4],
        conv: Conv2d(1 => 8, kernel: 7, padding: 1),
    }
}

fn main() {}
