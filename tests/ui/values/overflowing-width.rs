// A width that no `usize` holds.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 99999999999999999999),
    }
}

fn main() {}
