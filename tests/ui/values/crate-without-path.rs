// The attribute of the macro without a path.
use neuralode::prelude::*;

neural_ode! {
    #[neural_ode(crate)]
    struct Model {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
