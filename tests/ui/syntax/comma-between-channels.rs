// Channels and the side of the window, with commas between them.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1, 8, 3),
    }
}

fn main() {}
