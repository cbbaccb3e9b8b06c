// A block among layers.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(4 => 4), Ode { field(t, y): tanh }, Dense(4 => 2)],
    }
}

fn main() {}
