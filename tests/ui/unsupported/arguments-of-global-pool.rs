// A global pool with a window.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        pool: GlobalAvgPool(2),
    }
}

fn main() {}
