// A span between two constants of one value.
use neuralode::prelude::*;

const START: f64 = 1.0;
const END: f64 = 1.0;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: START..END,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 4>, f32, _> = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
}
