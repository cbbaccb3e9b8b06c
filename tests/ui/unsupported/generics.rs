// Generic parameters of a model.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const N: usize> {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
