// A window larger than the image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 4, 3],
        conv: Conv2d(1 => 8, kernel: 5),
    }
}

fn main() {}
