// An epsilon of 0 would divide by the variance of a constant sample.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [LayerNorm(epsilon: 0), Dense(4 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
