// A where clause on a model.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const N: usize>
    where
        [(); N]: Sized,
    {
        input: [4],
        head: Dense(4 => N),
    }
}

fn main() {}
