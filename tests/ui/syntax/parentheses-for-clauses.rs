// The clauses of a block in parentheses.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode(tanh),
    }
}

fn main() {}
