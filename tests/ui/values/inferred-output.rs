// An output width cannot be inferred.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => _),
    }
}

fn main() {}
