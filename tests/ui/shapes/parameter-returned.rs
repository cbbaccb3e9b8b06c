// A field that returns a parameter for a state of a number of features.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize> {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => WIDTH)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {}
