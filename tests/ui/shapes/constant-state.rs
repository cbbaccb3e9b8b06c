// A field that does not take its state, which is a constant, is wrong once.
use neuralode::prelude::*;

const STATE: usize = 6;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense(4 => STATE),
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
