neural_ode! {
    struct Augmented {
        input: [2],
        more: Augment(3),
        ode: Ode {
            field(t, y): [Append(t), Dense(6 => 16, tanh), Residual[Dense(16 => 16, tanh)], Dense(16 => 5)],
            span: 0.0..1.0,
            solver: Dopri5 { rtol: 1e-6, atol: 1e-6 },
        },
        fewer: Project(2),
    }
}
