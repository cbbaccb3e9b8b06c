// A choice of errors that does not exist.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2],
        ode: Ode {
            field(t, y): [Dense(2 => 4, tanh), Dense(4 => 2)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3, control: Gradient },
        },
    }
}

fn main() {}
