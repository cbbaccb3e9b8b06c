// The same across two stages.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: [Dense(4 => 20), tanh],
        head: Dense(12 => 2),
    }
}

fn main() {}
