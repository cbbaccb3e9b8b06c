// A parameter enters a layer that takes another one.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize, const DEPTH: usize> {
        input: [WIDTH],
        head: Dense(DEPTH => 2),
    }
}

fn main() {}
