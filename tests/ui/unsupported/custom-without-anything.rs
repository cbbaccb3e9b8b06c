// A type without parameters that is no layer.
use neuralode::prelude::*;

#[derive(Clone, Copy, Debug)]
struct Own;

neural_ode! {
    struct Model {
        input: [4],
        own: Custom(Own),
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
