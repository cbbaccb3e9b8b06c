// A size of the input in a constant that does not exist: the compiler says so once.
use neuralode::prelude::*;

neural_ode! {
    struct Model {
        input: [ROWS, 2],
        head: [Flatten, Dense(2)],
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
