// A layer with more arguments in angle brackets.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d::<1, 8, 3>,
    }
}

fn main() {}
