// A convolution of other channels than the one before it leaves.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 28, 28],
        conv: [Conv2d(1 => 8, kernel: 3), Conv2d(4 => 8, kernel: 3)],
    }
}

fn main() {}
