// A setting with an equals sign.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        head: Dense(4 => 2, init = zeros),
    }
}

fn main() {}
