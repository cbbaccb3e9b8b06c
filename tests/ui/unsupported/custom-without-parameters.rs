// A layer of a user's own without the dtype and the device among its parameters.
use neuralode::prelude::*;

#[derive(Clone, Debug)]
struct Plain;

neural_ode! {
    struct Model {
        input: [4],
        gate: Custom(Plain),
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
