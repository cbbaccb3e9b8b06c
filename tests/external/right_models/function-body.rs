// A model may be declared in a function, with constants of that function; two functions may share names.
use neuralode::prelude::*;

fn first() -> usize {
    const WIDTH: usize = 3;
    neural_ode! {
        struct Model {
            input: [WIDTH],
            ode: Ode {
                field(t, y): [Dense(WIDTH => 5, tanh), Dense(5 => WIDTH)],
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
        }
    }
    Model::<f32, _>::build(&Cpu::default()).num_trainable_params()
}

fn second() -> usize {
    const WIDTH: usize = 2;
    neural_ode! {
        struct Model {
            input: [WIDTH],
            head: Dense(WIDTH),
        }
    }
    Model::<f32, _>::build(&Cpu::default()).num_trainable_params()
}

fn main() {
    assert_eq!((first(), second()), (38, 6));
}
