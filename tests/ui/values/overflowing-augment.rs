// More features than there are numbers for them.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [4],
        ode: Ode {
            field(t, y): tanh,
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Augment(18446744073709551615),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
