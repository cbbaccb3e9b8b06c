//! The library under another name, in a crate of any edition.

#![deny(warnings, missing_docs, rust_2018_idioms, future_incompatible)]

use ode::{
    layer::{
        activation::{Identity, Tanh},
        Dense,
    },
    prelude::*,
};

neural_ode! {
    /// A model with one of each kind of item that is generated.
    #[neural_ode(crate = ode)]
    #[derive(Clone, Debug)]
    pub struct Flow<const HIDDEN: usize> {
        input: [2],
        lift: [Dense(2 => 4, tanh), Dropout(0.1), BatchNorm],
        noisy: Ode {
            field(t, y): [Append(t), Dense(5 => HIDDEN, tanh), Dropout(0.1), Dense(HIDDEN => 4)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.5 },
        },
        smooth: Ode {
            field(t, y): [Residual[Dense(4 => HIDDEN, gelu), Dense(HIDDEN => 4)], LayerNorm, Scale, Pow(2)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 1),
    }
}

/// A struct written by hand.
#[derive(Clone, Debug, OdeModel)]
#[ode_model(input: [2], crate = ode)]
pub struct Derived<E: Dtype = f32, D: Device<E> = Cpu> {
    /// Layers.
    #[layers(Dense(2 => 4, tanh), Dense(4 => 2))]
    pub layers: (Dense<2, 4, Tanh, E, D>, Dense<4, 2, Identity, E, D>),
    /// A block.
    #[ode(field(t, y): Dense(2 => 2, tanh), span: 0..1, solver: Heun { rtol: 1e-3, atol: 1e-3 })]
    pub flow: NeuralOde<DerivedFlowField<E, D>>,
}

fn main() -> Result<(), SolveError> {
    let device = Cpu::seed_from_u64(0);
    let x: Tensor<Rank2<3, 2>, f32, _> = device.sample_normal();
    let flow = Flow::<8>::build(&device);
    let state = flow.initial_state(1)?;
    let _ = flow.try_forward_with_state(x.clone(), &state, Mode::Training)?;
    let _ = Derived::<f32>::build(&device).try_forward(x)?;
    Ok(())
}
