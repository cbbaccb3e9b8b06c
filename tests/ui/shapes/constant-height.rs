// An image whose height is a constant.
use neuralode::prelude::*;

const HEIGHT: usize = 28;

neural_ode! {
    struct Model {
        input: [1, HEIGHT, 28],
        conv: Conv2d(1 => 8, kernel: 3),
    }
}

fn main() {}
