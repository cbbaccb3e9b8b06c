// A model without a name.
use neuralode::prelude::*;

neural_ode! {
    struct {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
