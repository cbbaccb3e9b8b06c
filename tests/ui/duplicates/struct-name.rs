// Two stages whose layers would be kept in structs of one name.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        block_1: [Dense(4), Dense(4)],
        block1: [Dense(4), Dense(4)],
    }
}

fn main() {}
