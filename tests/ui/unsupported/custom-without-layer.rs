// A type that is no layer: one error, at its path.
use neuralode::prelude::*;

mod own {
    use neuralode::prelude::*;

    #[derive(Clone, Copy, Debug)]
    pub struct Own<E, D>(core::marker::PhantomData<(E, D)>);

    impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Own<E, D> {
        type To<E2: Dtype, D2: Device<E2>> = Own<E2, D2>;

        fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
            visitor: &mut V,
        ) -> Result<Option<Own<V::E2, V::D2>>, V::Err> {
            visitor.visit_fields((), |()| Own(core::marker::PhantomData))
        }
    }
}

neural_ode! {
    struct Model {
        input: [4],
        own: Custom(own::Own),
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    let x: Tensor<Rank2<2, 4>, f32, _> = Cpu::default().zeros();
    let state: ModelState<f32, Cpu> = model.initial_state(0).unwrap();
    let (y, state, _) = model.try_forward_with_state(x, &state, Mode::Training).unwrap();
    println!("{:?} {:?} {}", y.array(), state, model.summary());
}
