// The time where there is none.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Append(t), Dense(2)],
    }
}

fn main() {}
