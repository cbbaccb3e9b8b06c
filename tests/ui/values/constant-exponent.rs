// A constant as exponent.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(N), Dense(4 => 2)],
    }
}

fn main() {}
