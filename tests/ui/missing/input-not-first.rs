// An input below a stage; the shapes are still checked.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        head: Dense(4 => 2),
        input: [4],
    }
}

fn main() {}
