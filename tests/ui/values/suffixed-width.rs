// A width with a suffix of another type.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense(4 => 20u32),
        head: Dense(20 => 2),
    }
}

fn main() {}
