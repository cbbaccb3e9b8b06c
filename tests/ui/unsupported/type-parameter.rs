// A type among the parameters of a model.
use neuralode::prelude::*;

neural_ode! {
    struct Model<T> {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
