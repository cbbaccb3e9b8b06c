// Two parameters of one name.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const N: usize, const N: usize> {
        input: [N],
        head: Dense(N => 2),
    }
}

fn main() {}
