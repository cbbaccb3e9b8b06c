// A pool with its window by position.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        pool: AvgPool2d(2),
    }
}

fn main() {}
