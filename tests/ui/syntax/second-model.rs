// Two models in one invocation.
use neuralode::prelude::*;

neural_ode! {
    struct First {
        input: [4],
        head: Dense(4 => 2),
    }

    struct Second {
        input: [4],
        head: Dense(4 => 2),
    }
}

fn main() {
    let dev = Cpu::default();
    let _ = First::<f32, _>::build(&dev);
    let _ = Second::<f32, _>::build(&dev);
}
