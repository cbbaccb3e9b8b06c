// A stage under a condition.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        #[cfg(unix)]
        encoder: tanh,
        head: Dense(4 => 2),
    }
}

fn main() {}
