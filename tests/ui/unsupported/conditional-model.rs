// A model under a condition inside its macro.
use neuralode::prelude::*;

neural_ode! {
    #[cfg(unix)]
    struct Model {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
