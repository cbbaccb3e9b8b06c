// Time and state as the inputs of a layer: the time is appended by a layer of its own.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [Dense([t, y] => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {}
