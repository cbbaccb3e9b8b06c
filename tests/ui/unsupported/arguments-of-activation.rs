// Arguments of an activation.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(4 => 2), tanh(2)],
    }
}

fn main() {}
