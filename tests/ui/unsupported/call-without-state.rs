// A model with state, called without it.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        drop: Dropout(0.5),
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank2<2, 4>, f32, _> = Cpu::default().zeros();
    let y = model.try_forward(x).unwrap();
    println!("{:?}", y.array());
}
