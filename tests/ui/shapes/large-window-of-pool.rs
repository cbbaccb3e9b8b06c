// A pool whose window is larger than what is left of the image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [1, 6, 6],
        head: [Conv2d(1 => 2, kernel: 3), MaxPool2d(kernel: 5)],
    }
}

fn main() {}
