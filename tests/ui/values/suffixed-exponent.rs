// An exponent of another type.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Pow(3usize), Dense(4 => 2)],
    }
}

fn main() {}
