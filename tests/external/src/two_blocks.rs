//! Two blocks with different solvers and adjoints; sizes, times and tolerances are constants.

use neuralode::prelude::*;

use crate::training::{self, Losses};

mod sizes {
    pub(crate) const STATE: usize = 4;
    pub(crate) const HIDDEN: usize = 8;
}
const END: f64 = 1.5;
const STEP: f64 = 0.25;

neural_ode! {
    struct Twice {
        input: [3],
        lift: Dense(3 => sizes::STATE, silu, init: kaiming),
        coarse: Ode {
            field(t, y): Dense(sizes::STATE => sizes::STATE, tanh),
            span: 0..END,
            solver: Rk4 { dt: STEP },
            adjoint: Checkpointed { bytes: 100_000 },
        },
        between: [LayerNorm, Scale],
        fine: Ode {
            field(t, y): [Dense(_ => sizes::HIDDEN, tanh), Dense(sizes::STATE)],
            span: 0..END,
            solver: Tsit5 { rtol: 1e-4, atol: 1e-4, controller: PI },
        },
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(3);
    let mut model = Twice::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 3>, f32, _> = dev.sample_normal();
    training::train(&mut model, &x, |y: Tensor<Rank2<8, 4>, f32, _, _>| {
        y.square().mean()
    })
}
