// A width of zero in a constant.
use neuralode::prelude::*;

const HIDDEN: usize = 0;

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(4 => HIDDEN, tanh), Dense(HIDDEN => 2)],
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 2>, f32, _> = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
}
