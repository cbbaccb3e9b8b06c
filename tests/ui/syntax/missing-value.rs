// A stage without a value.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: ,
    }
}

fn main() {}
