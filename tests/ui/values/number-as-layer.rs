// A number among layers.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(4 => 2), 2],
    }
}

fn main() {}
