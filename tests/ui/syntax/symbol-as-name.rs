// Something that is no name where an entry begins.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        @head: Dense(4 => 2),
        tail: Dense(2 => 2),
    }
}

fn main() {}
