neural_ode! {
    /// The model of the tutorial.
    #[derive(Clone, Debug)]
    pub struct MnistOde {
        input: [28, 28],
        encoder: [Flatten, Dense(784 => 20, tanh)],
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Interpolating,
        },
        head: Dense(20 => 10),
    }
}
