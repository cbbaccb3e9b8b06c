// Equal steps larger than the span.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Euler { dt: 2.0 },
        },
    }
}

fn main() {}
