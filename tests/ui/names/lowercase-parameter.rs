// A parameter with the name of a variable.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const x: usize> {
        input: [x],
        head: Dense(x => 2),
    }
}

fn main() {}
