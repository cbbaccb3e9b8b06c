// A stage without a name.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        Dense(4 => 2),
    }
}

fn main() {}
