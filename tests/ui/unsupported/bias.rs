// A layer without a bias.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 20, bias: false),
    }
}

fn main() {}
