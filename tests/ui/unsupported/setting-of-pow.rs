// A setting of a layer that has none.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        cubes: Pow(3, base: 2),
    }
}

fn main() {}
