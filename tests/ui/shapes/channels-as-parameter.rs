// Channels that are a parameter of the model: the size of the image would be computed from it.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const CHANNELS: usize> {
        input: [1, 8, 8],
        encoder: Conv2d(1 => CHANNELS, kernel: 3),
        head: [Flatten, Dense(_ => 2)],
    }
}

fn main() {}
