// A layer that resembles none: all of them are listed.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Recurrent(4 => 2),
    }
}

fn main() {}
