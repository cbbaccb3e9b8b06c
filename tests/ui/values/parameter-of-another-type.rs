// A parameter that is no size.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const DEEP: bool> {
        input: [4],
        head: Dense(4 => DEEP),
    }
}

fn main() {}
