// A parameter in another shape.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize> {
        input: [WIDTH],
        fold: Reshape([4]),
        head: Dense(4 => 2),
    }
}

fn main() {}
