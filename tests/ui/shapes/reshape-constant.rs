// A new shape with a constant for more scalars than there are.
use neuralode::prelude::*;

const HIDDEN: usize = 8;

neural_ode! {
    struct Model {
        input: [12],
        fold: Reshape([2, HIDDEN]),
    }
}

fn main() {}
