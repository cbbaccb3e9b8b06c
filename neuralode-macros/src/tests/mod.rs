//! Tests of the macro as a function from tokens to tokens, without a compiler.

mod diagnostics;
mod snapshots;
mod streams;

/// A model with everything in it.
const MODEL: &str = "
    /// Documented.
    #[derive(Clone, Debug)]
    pub struct Model<const N: usize, const DEEP: bool = true> {
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
        width: Dense(N),
        head: identity,
    }";

/// A struct under the derive.
const DERIVED: &str = "
    #[ode_model(input: [28, sizes::WIDTH], crate = path::to)]
    pub struct Model<const N: usize, T: Clone, E: Dtype = f32, D: Device<E> = Cpu> where T: Debug {
        #[layers(Flatten, Dense(_ => N, tanh))]
        pub encoder: Dense<N, 20, Tanh, E, D>,
        #[ode(field(t, y): [Dense(N => 8), Dropout(0.1), Dense(N)], span: 0..1, solver: Rk4 { dt: 0.5 })]
        ode: NeuralOde<ModelOdeField<N, E, D>>,
        #[layers(tanh, Dense(3))]
        head: (Tanh, Dense<N, 3, Identity, E, D>),
        #[ode_model(skip)]
        tag: T,
    }";
