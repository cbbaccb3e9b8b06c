// An input with more features than a `usize` counts.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4294967296, 4294967296],
        head: [Flatten, Dense(2)],
    }
}

fn main() {}
