// A misspelled activation is underlined alone, with the word that was meant.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 2, tnah),
    }
}

fn main() {}
