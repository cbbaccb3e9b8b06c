// More numbers than can be counted.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 18446744073709551615, kernel: 3),
    }
}

fn main() {}
