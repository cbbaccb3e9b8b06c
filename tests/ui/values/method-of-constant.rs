// A method of a constant, as the compiler suggests it for another type of floating point.
use neuralode::prelude::*;

const TOL: f32 = 1e-3;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: TOL.into(), atol: 1e-3 },
        },
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 4>, f32, _> = model.forward(dev.zeros::<Rank2<1, 4>>());
    println!("{:?} {}", y.array(), model.summary());
}
