// A parameter of the model in the place of a number.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const N: usize> {
        input: [N],
        ode: Ode {
            field(t, y): [Dense(N => 8, tanh), Dense(8 => N)],
            span: 0.0..1.0,
            solver: Rk4 { dt: N },
        },
    }
}

fn main() {}
