// Fewer pixels than the image has.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, kernel: 3, padding: -1),
    }
}

fn main() {}
