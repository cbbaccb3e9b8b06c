// Batch normalisation in a residual layer of a field.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [2, 5, 5],
        ode: Ode {
            field(t, y): Residual[Conv2d(2, kernel: 3, padding: 1), Residual[BatchNorm, tanh]],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.1 },
        },
        head: [Flatten, Dense(2)],
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank4<2, 2, 5, 5>, f32, _> = Cpu::default().zeros();
    let state: ModelState<f32, Cpu> = model.initial_state(0).unwrap();
    let (y, state, _) = model.try_forward_with_state(x, &state, Mode::Training).unwrap();
    println!("{:?} {:?} {}", y.array(), state, model.summary());
}
