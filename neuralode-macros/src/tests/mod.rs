//! Tests of the macro as a function from tokens to tokens, without a compiler.

mod diagnostics;
mod snapshots;
mod streams;

/// A model with everything in it.
const MODEL: &str = "
    /// Documented.
    #[derive(Clone, Debug)]
    pub struct Model {
        input: [28, sizes::WIDTH],
        /// A stage.
        encoder: [Flatten, Dense(_ => 20, tanh)],
        ode: Ode {
            field(t, y): [Dense(20 => HIDDEN, tanh), sin, Dense(20)],
            span: -0.5..END,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-6, controller: PI },
            adjoint: Interpolating,
            save_at: End,
        },
        timed: Ode {
            field(s, z): [Append(s), Residual[tanh], Project(20)],
            span: 0..1,
            solver: Euler { dt: 0.1 },
        },
        folded: [Reshape([4, 5]), Augment(1), Flatten],
        decoder: [Dense(8, relu), Dense(8 => 3usize), sigmoid],
        noisy: [BatchNorm(epsilon: 1e-4), Dropout(RATE), Custom(own::Kind<2> => [3])],
        head: identity,
    }";
