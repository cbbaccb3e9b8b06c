// An activation under a name.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 20, activation = tanh),
    }
}

fn main() {}
