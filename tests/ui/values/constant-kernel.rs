// A window whose side is a constant.
use neuralode::prelude::*;

const KERNEL: usize = 3;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, kernel: KERNEL),
    }
}

fn main() {}
