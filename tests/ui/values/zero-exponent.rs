// An exponent of zero.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(0), Dense(4 => 2)],
    }
}

fn main() {}
