// Batch normalisation in a field, whatever its settings are; before and after the block it may stand.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        norm: BatchNorm,
        ode: Ode {
            field(t, y): [Dense(4 => 4, tanh), BatchNorm(momentum: 1.5), Dense(4)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.1 },
        },
        head: [BatchNorm, Dense(2)],
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank2<2, 4>, f32, _> = Cpu::default().zeros();
    let state: ModelState<f32, Cpu> = model.initial_state(0).unwrap();
    let (y, state, _) = model.try_forward_with_state(x, &state, Mode::Training).unwrap();
    println!("{:?} {:?} {}", y.array(), state, model.summary());
}
