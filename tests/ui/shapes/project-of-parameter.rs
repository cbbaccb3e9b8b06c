// The first ones of a parameter.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize> {
        input: [WIDTH],
        fewer: Project(4),
        head: Dense(4 => 2),
    }
}

fn main() {}
