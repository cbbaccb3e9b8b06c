// A word that is not this field's time.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [Append(time), Dense(5 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {}
