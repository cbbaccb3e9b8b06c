// A tolerance for a solver that does not estimate its error.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.1, rtol: 1e-3 },
        },
    }
}

fn main() {}
