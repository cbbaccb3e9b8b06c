// A field that returns a vector for an image.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2, 2],
        ode: Ode {
            field(t, y): [Flatten, Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {}
