// A dense layer under the name that other libraries give it.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Linear(4, 20),
    }
}

fn main() {}
