// The library under another name, or inside of another crate.
mod inner {
    pub mod library {
        pub use neuralode::*;
    }
}

mod user {
    use super::inner::library::prelude::*;

    // Nothing is found under the usual path.
    #[allow(dead_code)]
    mod neuralode {}

    neural_ode! {
        #[derive(Clone)]
        #[neural_ode(crate = crate::inner::library)]
        pub struct Model {
            input: [4],
            ode: Ode {
                field(t, y): [Dense(4 => 8, tanh), Dropout(0.5), Dense(8 => 4)],
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
            head: [Dense(4 => 2), Dense(2 => 2)],
        }
    }
}

fn main() {
    use inner::library::prelude::*;
    let model = user::Model::<f32, _>::build(&Cpu::default());
    assert_eq!(model.num_trainable_params(), 40 + 36 + 10 + 6);
}
