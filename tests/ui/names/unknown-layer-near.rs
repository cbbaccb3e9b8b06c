// A layer that resembles one which takes other arguments: what a guess makes of them is no second mistake.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Conv(4 => 2),
    }
}

fn main() {}
