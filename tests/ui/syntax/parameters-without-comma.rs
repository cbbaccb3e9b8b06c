// Two parameters without a comma between them.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const N: usize const M: usize> {
        input: [N],
        head: Dense(N => M),
    }
}

fn main() {}
