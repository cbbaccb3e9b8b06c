// A power without its exponent, in parentheses.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(), Dense(4 => 2)],
    }
}

fn main() {}
