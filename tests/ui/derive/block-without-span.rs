// A block without its span.
use neuralode::prelude::*;

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[ode(field(t, y): Dense(4 => 4, tanh), solver: Tsit5 { rtol: 1e-3, atol: 1e-3 })]
    flow: NeuralOde<ModelFlowField<E, D>>,
}

fn main() {}
