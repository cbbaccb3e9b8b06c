// A constant is compared with a number.
use neuralode::prelude::*;

const HIDDEN: usize = 12;

neural_ode! {
    struct Model {
        input: [4],
        encoder: [Dense(4 => 20, tanh), Dense(HIDDEN => 10)],
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 10>, f32, _> = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
}
