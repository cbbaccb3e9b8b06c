// A constant is compared with the number of features of an input of constants.
use neuralode::prelude::*;

const ROWS: usize = 2;
const COLUMNS: usize = 2;
const PIXELS: usize = 5;

neural_ode! {
    struct Model {
        input: [ROWS, COLUMNS],
        head: [Flatten, Dense(PIXELS => 10)],
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
