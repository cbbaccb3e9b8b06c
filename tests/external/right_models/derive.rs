// A struct that the user wrote, with parameters and bounds of its own, tuples of layers, layers with state, and fields that
// are no stages.
use neuralode::{
    layer::{
        activation::{Identity, Pointwise, Tanh},
        BatchNorm, Dense, Dropout, Flatten,
    },
    prelude::*,
};
use std::{fmt::Debug, marker::PhantomData};

/// The tutorial's model.
#[derive(Clone, Debug, OdeModel)]
#[ode_model(input: [28, 28])]
pub struct Mnist<E: Dtype = f32, D: Device<E> = Cpu> {
    /// A stage with one layer that has parameters is that layer.
    #[layers(Flatten, Dense(784 => 20, tanh))]
    pub encoder: Dense<784, 20, Tanh, E, D>,
    #[ode(
        field(t, y): [Dense(20 => 10, tanh), Dense(10 => 20, tanh)],
        span: 0.0..1.0,
        solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        adjoint: Interpolating,
    )]
    pub ode: NeuralOde<MnistOdeField<E, D>>,
    #[layers(Dense(20 => 10))]
    head: Dense<20, 10, Identity, E, D>,
    #[ode_model(skip)]
    pub name: String,
}

/// Others are tuples.
#[derive(Clone, Debug, OdeModel)]
#[ode_model(input: [WIDTH], crate = neuralode)]
struct Tagged<'a, const WIDTH: usize, T: Default + Clone, E, D>
where
    T: Debug,
    E: Dtype,
    D: Device<E>,
{
    #[layers(Dense(WIDTH => 8, tanh), BatchNorm, Dropout(0.1))]
    lift: (Dense<WIDTH, 8, Tanh, E, D>, BatchNorm<8, E, D>, Dropout),
    #[ode(field(t, y): [Dense(8 => WIDTH, tanh), Dropout(0.1), Dense(WIDTH => 8)], span: 0..1, solver: Rk4 { dt: 0.5 })]
    flow: NeuralOde<TaggedFlowField<WIDTH, E, D>>,
    #[ode(field(t, y): Dense(8 => 8, tanh), span: 0..1, solver: Rk4 { dt: 0.5 })]
    smooth: NeuralOde<TaggedSmoothField<WIDTH, E, D>>,
    #[layers(tanh, Flatten)]
    plain: (Pointwise<Tanh>, Flatten),
    #[ode_model(skip)]
    tag: T,
    #[ode_model(skip)]
    text: &'a str,
    #[ode_model(skip)]
    marker: PhantomData<(E, D)>,
}

fn main() {
    let dev = Cpu::seed_from_u64(0);
    let mut model = Mnist::<f32>::build(&dev);
    assert_eq!(model.num_trainable_params(), 784 * 20 + 20 + 210 + 220 + 210);
    model.name.push_str("mine");
    model.ode.options.rtol = 1e-4;
    let copy: Mnist = model.to_device(&dev);
    assert_eq!((copy.name.as_str(), copy.ode.options.rtol), ("mine", 1e-4));
    let x: Tensor<Rank3<5, 28, 28>, f32, _> = dev.sample_normal();
    assert_eq!(copy.forward(x.clone()).array(), model.forward(x).array());
    assert!(model.summary().to_string().contains("encoder"));

    let tagged = Tagged::<'static, 3, Vec<u8>, f64, Cpu>::build(&dev);
    let x: Tensor<Rank2<5, 3>, f64, _> = dev.sample_normal();
    let state: TaggedState<3, f64, Cpu> = tagged.initial_state(1).unwrap();
    let (y, next, _) = tagged.try_forward_with_state(x, &state, Mode::Training).unwrap();
    assert_eq!((y.shape(), next.lift.0.batches), (&(Const::<5>, Const::<8>), 1));
    assert!((tagged.tag.is_empty(), tagged.text, tagged.marker) == (true, "", PhantomData));
}
