// A parameter without its type.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const N> {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
