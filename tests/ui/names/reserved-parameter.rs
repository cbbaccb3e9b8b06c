// A parameter whose name generated code gives to one of its own.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const LANES: usize> {
        input: [4],
        head: Dense(4 => LANES),
    }
}

fn main() {}
