// A width that is text.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => "two"),
    }
}

fn main() {}
