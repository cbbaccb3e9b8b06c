// A parameter under the name that generated code gives to the dtype.
use neuralode::prelude::*;

neural_ode! {
    struct Model<const Elem: usize> {
        input: [Elem],
        head: Dense(Elem => 2),
    }
}

fn main() {
    let model = Model::<4, f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
