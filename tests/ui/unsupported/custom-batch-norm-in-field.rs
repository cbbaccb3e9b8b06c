// A layer that is another function in training than in inference, in a field under the name of a layer of one's own.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        norm: Custom(neuralode::layer::BatchNorm<4>),
        ode: Ode {
            field(t, y): [Dense(4 => 4, tanh), Custom(neuralode::layer::BatchNorm<4>), Dense(4)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.1 },
        },
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank2<2, 4>, f32, _> = Cpu::default().zeros();
    let state: ModelState<f32, Cpu> = model.initial_state(0).unwrap();
    let (y, state, _) = model.try_forward_with_state(x, &state, Mode::Training).unwrap();
    println!("{:?} {:?} {}", y.array(), state, model.summary());
}
