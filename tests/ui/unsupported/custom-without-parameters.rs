// A layer of a user's own without the dtype and the device among its parameters, which the macro adds.
use neuralode::{layer::{Call, Layer}, prelude::*};

#[derive(Clone, Copy, Debug)]
struct Plain;

impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Plain {
    type To<E2: Dtype, D2: Device<E2>> = Plain;

    fn iter_tensors<V: ModuleVisitor<Self, E, D>>(visitor: &mut V) -> Result<Option<Plain>, V::Err> {
        visitor.visit_fields((), |()| Plain)
    }
}

impl<const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D> for Plain {
    type State = ();

    fn try_initial_state(&self, _: u64) -> Result<(), SolveError> {
        Ok(())
    }

    fn try_forward<B: Dim, T: Tape<E, D>>(
        &self,
        _: Call<'_, ()>,
        x: Tensor<(B, Const<N>), E, D, T>,
    ) -> Result<(Tensor<(B, Const<N>), E, D, T>, ()), SolveError> {
        Ok((x, ()))
    }
}

neural_ode! {
    struct Model {
        input: [4],
        plain: Custom(Plain),
        head: Dense(2),
    }
}

fn main() {
    let model = Model::<f32, _>::build(&Cpu::default());
    println!("{}", model.summary());
}
