// A model may have constants among its parameters, with and without defaults: widths of layers, settings, and arguments
// of the user's own types, with state and without.
use neuralode::{layer::{Call, Layer}, prelude::*};

neural_ode! {
    /// A flow of any width.
    #[derive(Clone, Debug)]
    pub struct Flow<const WIDTH: usize, const HIDDEN: usize = 8, const BUDGET: usize = 65536> {
        input: [WIDTH],
        lift: [Dense(WIDTH => HIDDEN, tanh), Dense(HIDDEN => WIDTH)],
        ode: Ode {
            field(t, y): [Residual[Dense(_ => HIDDEN, tanh), LayerNorm, Dense(HIDDEN => WIDTH)], Scale, tanh],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            adjoint: Checkpointed { bytes: BUDGET },
        },
        head: [Reshape([WIDTH]), Flatten, Project(WIDTH), Dense(_ => 2)],
    }
}

neural_ode! {
    struct Noisy<const WIDTH: usize> {
        input: [3],
        lift: [Dense(3 => WIDTH, tanh), BatchNorm, Dropout(0.1)],
        ode: Ode {
            field(t, y): [Dense(WIDTH => WIDTH, tanh), Dropout(0.1), Custom(Squared<WIDTH>)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.5 },
        },
        head: [Dense(WIDTH => 2), Custom(Squared<2>)],
    }
}

/// The square of what enters.
#[derive(Clone, Debug, Default)]
struct Squared<const WIDTH: usize, E: Dtype, D: Device<E>>(std::marker::PhantomData<(E, D)>);

impl<const WIDTH: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for Squared<WIDTH, E, D> {
    type To<E2: Dtype, D2: Device<E2>> = Squared<WIDTH, E2, D2>;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
        visitor: &mut V,
    ) -> Result<Option<Self::To<V::E2, V::D2>>, V::Err> {
        visitor.visit_fields((), |()| Squared(std::marker::PhantomData))
    }
}

impl<const WIDTH: usize, E: Dtype, D: Device<E>> Layer<WIDTH, WIDTH, E, D> for Squared<WIDTH, E, D> {
    type State = ();

    fn try_initial_state(&self, _: u64) -> Result<(), SolveError> {
        Ok(())
    }

    fn try_forward<B: Dim, T: Tape<E, D>>(
        &self,
        _: Call<'_, ()>,
        x: Tensor<(B, Const<WIDTH>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<WIDTH>), E, D, T>, ()), SolveError> {
        Ok((x.square(), ()))
    }
}

fn runs<const WIDTH: usize>() {
    let dev = Cpu::seed_from_u64(0);
    let flow = Flow::<WIDTH, 5>::build(&dev);
    let x: Tensor<(usize, Const<WIDTH>), f32, _> = dev.sample_normal_like(&(7, Const));
    assert_eq!(flow.forward(x).shape().0, 7);
    let copy = flow.to_dtype::<f64>();
    assert_eq!(copy.num_trainable_params(), flow.num_trainable_params());
    let copy: Flow<WIDTH, 5> = flow.to_device(&dev);
    assert_eq!(copy.summary().to_string(), flow.summary().to_string());

    let noisy = Noisy::<WIDTH, f64, _>::build(&dev);
    let state: NoisyState<WIDTH, f64> = noisy.initial_state(3).unwrap();
    let x: Tensor<(usize, Const<3>), f64, _> = dev.sample_normal_like(&(7, Const));
    let (y, next, _) = noisy.try_forward_with_state(x, &state, Mode::Training).unwrap();
    assert_eq!((y.shape().0, next.lift.0.batches), (7, 1));
}

fn main() {
    runs::<2>();
    runs::<11>();
    let _: Flow<3> = Flow::<3, 8>::build(&Cpu::default());
}
