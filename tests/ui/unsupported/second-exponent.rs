// A second argument of a power.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(2, 3), Dense(4 => 2)],
    }
}

fn main() {}
