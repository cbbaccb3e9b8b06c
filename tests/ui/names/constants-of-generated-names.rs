// Constants under names that generated code gives to its own parameters.
use neuralode::prelude::*;

const Elem: usize = 4;
const Dev: usize = 8;

neural_ode! {
    struct Model {
        input: [4],
        encoder: Dense(4 => Elem),
        ode: Ode {
            field(t, y): [Dense(Elem => Dev, tanh), Dense(Dev => Elem)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    println!("{}", model.summary());
}
