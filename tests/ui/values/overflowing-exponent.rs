// An exponent that no `i32` holds.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(3000000000), Dense(4 => 2)],
    }
}

fn main() {}
