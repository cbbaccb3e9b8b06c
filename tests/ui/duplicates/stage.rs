// Two stages of one name.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 8),
        head: Dense(8 => 2),
    }
}

fn main() {}
