// A misspelled layer.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dens(4 => 2),
    }
}

fn main() {}
