// A block that does not exist.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Sde { noise: 1 },
    }
}

fn main() {}
