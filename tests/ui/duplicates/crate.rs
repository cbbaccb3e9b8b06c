// Two paths of the library.
use neuralode::prelude::*;

neural_ode! {
    #[neural_ode(crate = neuralode)]
    #[neural_ode(crate = ::neuralode)]
    struct Model {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {}
