// Mistakes in all places of a model are reported in one run, each once: here are eleven.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4]
        encoder: [Dense(5 => 8, tahn), Dense(9 => 6)],
        ode: Ode {
            field(t): [Dense(6 -> 6, tanh), Dense(6 => 7)],
            span: 0.0..=1.0,
            solver: Tsit5 { rtol: 2, atol = 1e-3 },
            adjoint: Exact,
        },
        head: Dense(6 => 2),
    }
}

fn main() {}
