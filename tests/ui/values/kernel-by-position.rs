// The side of a window without its name.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, 3, padding: 1),
    }
}

fn main() {}
