// A constant with a path is underlined at its first name.
use neuralode::prelude::*;

mod sizes {
    pub const HIDDEN: usize = 12;
}

neural_ode! {
    struct Model {
        input: [4],
        head: [Dense(20), Dense(sizes::HIDDEN => 2)],
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 2>, f32, _> = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
}
