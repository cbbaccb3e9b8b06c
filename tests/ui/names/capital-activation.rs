// An activation with a capital letter.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(4 => 2), Sigmoid],
    }
}

fn main() {}
