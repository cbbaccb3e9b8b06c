// Arguments of a layer that takes none.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2, 2],
        head: [Flatten(4), Dense(2)],
    }
}

fn main() {}
