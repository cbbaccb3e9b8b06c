// A layer that does not fit a flattened image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [28, 28],
        head: [Flatten, Dense(748 => 10)],
    }
}

fn main() {}
