// An activation that is a number.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 2, 3),
    }
}

fn main() {}
