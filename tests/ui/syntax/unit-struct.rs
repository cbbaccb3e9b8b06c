// A struct without entries.
use neuralode::prelude::*;

neural_ode! {
    struct Model;
}

fn main() {}
