// A new shape for more scalars than there are.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [12],
        fold: Reshape([3, 5]),
    }
}

fn main() {}
