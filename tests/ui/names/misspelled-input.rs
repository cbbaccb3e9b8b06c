// A misspelled `input` is not missing as well.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        inputs: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
