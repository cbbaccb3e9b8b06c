// A global pool of features that are no image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [8],
        head: GlobalAvgPool,
    }
}

fn main() {}
