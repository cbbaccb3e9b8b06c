// A field that makes its state smaller.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2, 8, 8],
        ode: Ode {
            field(t, y): Conv2d(2 => 2, kernel: 3),
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.1 },
        },
    }
}

fn main() {}
