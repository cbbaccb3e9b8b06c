// More zeros than can be counted.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(1 => 8, kernel: 3, padding: 18446744073709551615),
    }
}

fn main() {}
