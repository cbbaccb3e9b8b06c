// An unknown setting of the macro.
use neuralode::prelude::*;

neural_ode! {
    #[neural_ode(krate = neuralode)]
    struct Model {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
