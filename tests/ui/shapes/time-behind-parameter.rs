// The time behind a parameter: their sum is a size that stable Rust does not compute.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const WIDTH: usize> {
        input: [WIDTH],
        ode: Ode {
            field(t, y): [Append(t), Dense(_ => WIDTH)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {}
