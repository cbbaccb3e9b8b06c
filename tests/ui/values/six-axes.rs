// An input of six axes.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 2, 3, 4, 5, 6],
        head: [Flatten, Dense(2)],
    }
}

fn main() {}
