neuralode::neural_ode! {
    /// State in a stage, a residual layer and a field; a layer of the user's own.
    struct Noisy {
        input: [2, 3],
        norm: BatchNorm(momentum: 0.2),
        body: [Flatten, Residual[Dropout(0.5), Dense(6 => 6)], Custom(gates::Gate<8> => 4)],
        ode: Ode {
            field(t, y): [Dense(4 => 4, tanh), Dropout(0.1)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}
