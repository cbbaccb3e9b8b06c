// A pool of largest numbers with its window by position.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        pool: MaxPool2d(2),
    }
}

fn main() {}
