// Everything that may be written in a model, in each of its forms. This file may only grow.
use neuralode::prelude::*;

const END: f64 = 2.0;
const BUDGET: usize = 1 << 20;

neural_ode! {
    /// With documentation,
    #[derive(Clone, Debug)]
    pub(crate) struct Full {
        input: [0x2, 1_0usize],
        /// on stages
        #[allow(dead_code)]
        encoder: [Flatten, Dense(20 => 8, tanh), Dense(_ => 6), Dense(4), identity],
        dynamics: Ode {
            /// and on clauses.
            field(time, state): [Dense(4 => 7, sigmoid), sin, Dense(7 => 4, identity)],
            span: -1..END,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-6f64, controller: I },
            adjoint: Discrete,
            save_at: End,
        },
        again: Ode {
            save_at: End,
            adjoint: Interpolating,
            solver: Tsit5 { controller: PI, atol: 1, rtol: 0.5 },
            span: 1.5..-1.5,
            field(t, y): tanh
        },
        gauss: Ode {
            field(t, y): Dense(4 => 4), span: 0..1, solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Gauss,
        },
        quadrature: Ode {
            field(t, y): Dense(4 => 4), span: 0..1, solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Quadrature,
        },
        backsolve: Ode {
            field(t, y): Dense(4 => 4), span: 0..1, solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Backsolve,
        },
        checkpointed: Ode {
            field(t, y): Dense(4 => 4), span: 0..1, solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Checkpointed { bytes: 1_000_000 },
        },
        with_constant: Ode {
            field(t, y): Dense(4 => 4), span: 0..1, solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Checkpointed { bytes: BUDGET },
        },
        activation: relu,
        flat: Flatten,
        head: Dense(4 => 2)
    }
}

neural_ode! { struct Least { input: [1], only: tanh } }

fn main() {
    let dev = Cpu::default();
    let model = Full::<f64, _>::build(&dev);
    let _: Tensor<Rank2<3, 2>, f64, _> = model.forward(dev.zeros::<Rank3<3, 2, 10>>());
    let least = Least::<f32, _>::build(&dev);
    let _: Tensor<Rank2<3, 1>, f32, _> = least.forward(dev.zeros::<Rank2<3, 1>>());
}
