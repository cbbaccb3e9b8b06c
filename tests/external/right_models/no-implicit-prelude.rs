// Generated code names everything by absolute paths: a crate without the prelude can have models.
#![no_implicit_prelude]

use ::neuralode::{
    dfdx::{
        nn::Module,
        tensor::{Cpu, Tensor, ZerosTensor},
    },
    neural_ode,
};

neural_ode! {
    #[derive(::core::clone::Clone, ::core::fmt::Debug)]
    struct Model {
        input: [2, 2],
        encoder: [Flatten, Dense(4 => 8, tanh), Dense(8 => 4)],
        ode: Ode {
            field(t, y): [Dense(4 => 8, relu), sin, Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 2),
    }
}

fn main() {
    let dev: Cpu = ::core::default::Default::default();
    let model = Model::<f32, _>::build(&dev);
    let x: Tensor<_, f32, _> = dev.zeros::<::neuralode::dfdx::shapes::Rank3<1, 2, 2>>();
    let _ = model.forward(x);
    let _ = model.summary();
}
