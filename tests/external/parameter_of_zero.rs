//! A model of no width.

use ode::prelude::*;

neural_ode! {
    #[neural_ode(crate = ode)]
    struct Flow<const WIDTH: usize> {
        input: [2],
        head: [Dense(2 => WIDTH, tanh), Dense(WIDTH => 2)],
    }
}

fn main() {
    let _ = Flow::<0>::build(&Cpu::default());
}
