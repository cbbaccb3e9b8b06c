// Parameters of a stage.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head(x): Dense(4 => 2),
    }
}

fn main() {}
