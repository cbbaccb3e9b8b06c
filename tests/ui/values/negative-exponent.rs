// A negative exponent.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(-2), Dense(4 => 2)],
    }
}

fn main() {}
