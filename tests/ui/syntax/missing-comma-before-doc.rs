// A comma is missing before a documented stage.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense(4 => 8)
        /// The last layer.
        head: Dense(8 => 2),
    }
}

fn main() {}
