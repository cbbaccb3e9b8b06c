// Batch normalisation in the field of a block.
use neuralode::prelude::*;

#[derive(OdeModel)]
#[ode_model(input: [4])]
struct Model<E: Dtype, D: Device<E>> {
    #[ode(field(t, y): [Dense(4 => 4, tanh), BatchNorm], span: 0.0..1.0, solver: Tsit5 { rtol: 1e-3, atol: 1e-3 })]
    flow: NeuralOde<ModelFlowField<E, D>>,
}

fn main() {}
