// Channels that are another constant than what enters.
use neuralode::prelude::*;

const CHANNELS: usize = 3;

neural_ode! {
    struct Model {
        input: [1, 8, 8],
        conv: Conv2d(CHANNELS => 8, kernel: 3),
    }
}

fn main() {}
