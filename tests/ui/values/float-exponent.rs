// An exponent that is no integer.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(0.5), Dense(4 => 2)],
    }
}

fn main() {}
