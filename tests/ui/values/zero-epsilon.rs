// An epsilon of 0.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        body: [Dense(4 => 4, tanh), BatchNorm(epsilon: 0.0)],
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank2<2, 4>, f32, _> = Cpu::default().zeros();
    let state: ModelState<f32, Cpu> = model.initial_state(0).unwrap();
    let (y, state, _) = model.try_forward_with_state(x, &state, Mode::Training).unwrap();
    println!("{:?} {:?} {}", y.array(), state, model.summary());
}
