// A parameter enters a layer of a number of inputs: nobody knows here whether it will be the same.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize> {
        input: [4],
        lift: Dense(4 => WIDTH, tanh),
        head: Dense(8 => 2),
    }
}

fn main() {}
