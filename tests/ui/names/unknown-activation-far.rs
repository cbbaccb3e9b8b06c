// An activation that resembles none: all of them are listed.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 2, softmax),
    }
}

fn main() {}
