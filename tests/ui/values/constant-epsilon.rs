// The epsilon of a `LayerNorm` in a constant below zero.
use neuralode::prelude::*;

const SMALL: f64 = -0.5;

neural_ode! {
    struct Model {
        input: [4],
        norm: LayerNorm(epsilon: SMALL),
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 4>, f32, _> = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
}
