// A parameter beside another axis.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize> {
        input: [3, WIDTH],
        head: [Flatten, Dense(_ => 2)],
    }
}

fn main() {}
