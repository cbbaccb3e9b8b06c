neural_ode! {
    /// Sizes that are parameters.
    struct Flow<const WIDTH: usize, const HIDDEN: usize = 32> {
        input: [WIDTH],
        ode: Ode {
            field(t, y): [Dense(WIDTH => HIDDEN, tanh), Dense(_ => WIDTH)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}
