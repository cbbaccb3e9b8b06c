// A dense layer on a state with two axes.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2, 2],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {}
