// The same where the mistake hides a stage.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        [Dense(4 => 8, tanh)],
        head: Dense(8 => 2),
    }
}

fn main() {
    let dev = Cpu::default();
    let mut model = Model::<f32, _>::build(&dev);
    let y = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
    println!("{:?}", model.encoder.weight.as_vec().len() + 1);
    model.encoder.bias = dev.zeros();
}
