// The probability of a `Dropout` in a constant above one.
use neuralode::prelude::*;

const RATE: f64 = 1.5;

neural_ode! {
    struct Model {
        input: [4],
        drop: Dropout(RATE),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank2<2, 4>, f32, _> = Cpu::default().zeros();
    let state = model.initial_state(0).unwrap();
    let (y, ..) = model.try_forward_with_state(x, &state, Mode::Training).unwrap();
    println!("{:?} {}", y.array(), model.summary());
}
