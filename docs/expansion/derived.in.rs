/// A struct of the user: a stage, a block, a tuple of layers, and a field that is no stage.
#[derive(OdeModel)]
#[ode_model(input: [2])]
pub struct Disc<E: Dtype = f32, D: Device<E> = Cpu> {
    #[layers(Dense(2 => 8, tanh))]
    lift: Dense<2, 8, Tanh, E, D>,
    #[ode(
        field(t, y): [Dense(8 => 16, tanh), Dense(16 => 8)],
        span: 0.0..1.0,
        solver: Tsit5 { rtol: 1e-4, atol: 1e-4 },
    )]
    flow: NeuralOde<DiscFlowField<E, D>>,
    #[layers(Dense(8 => 4, tanh), Dense(4 => 1))]
    head: (Dense<8, 4, Tanh, E, D>, Dense<4, 1, Identity, E, D>),
    #[ode_model(skip)]
    name: String,
}
