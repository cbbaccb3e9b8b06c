neural_ode! {
    struct Constants {
        input: [STATE],
        ode: Ode {
            field(t, y): [Dense(_ => sizes::HIDDEN, tanh), Dense(WIDTH)],
            span: START..1.0,
            solver: Rk4 { dt: STEP },
        },
    }
}
