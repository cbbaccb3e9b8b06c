// Constants may have any customary name, also those that generic parameters usually have.
use neuralode::prelude::*;

const B: usize = 2;
const D: usize = 3;
const E: usize = 4;
const H: usize = 5;
const I: usize = 6;
const N: usize = 6;
const O: usize = 2;
const S: f64 = 0.0;
const T: f64 = 1.0;
const V: f64 = 1e-3;
const RTOL: f64 = V;

mod sizes {
    pub mod inner {
        pub const WIDTH: usize = 7;
    }
}

struct Sizes;

impl Sizes {
    const WIDTH: usize = 7;
}

neural_ode! {
    struct Model {
        input: [B, D],
        encoder: [Flatten, Dense(N => E, tanh), Dense(E => H)],
        middle: [Dense(H => self::sizes::inner::WIDTH), Dense(Sizes::WIDTH => I)],
        ode: Ode {
            field(t, y): [Dense(N => E), Dense(E => I)],
            span: S..T,
            solver: Tsit5 { rtol: RTOL, atol: V },
        },
        head: Dense(I => O),
    }
}

fn main() {
    let dev = Cpu::default();
    let model = Model::<f32, _>::build(&dev);
    let y: Tensor<Rank2<1, 2>, f32, _> = model.forward(dev.zeros::<Rank3<1, 2, 3>>());
    assert_eq!(y.array().len(), 1);
    let parameters = 7 * 4 + 5 * 5 + 6 * 7 + 8 * 6 + 7 * 4 + 5 * 6 + 7 * 2;
    assert_eq!(model.num_trainable_params(), parameters);
    assert_eq!(model.summary().parameters(), parameters);
    assert_eq!(model.ode.options.t1, 1.0);
}
