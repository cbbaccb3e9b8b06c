//! A layer of the user's own, in a stage and in a field.

use neuralode::prelude::*;

use crate::training::{self, Losses};

/// Layers.
mod gates {
    use neuralode::{
        dfdx::nn::TensorOptions,
        layer::{Call, Layer},
        prelude::*,
    };

    /// Every feature times a factor of its own.
    #[derive(Clone, Debug)]
    pub(crate) struct Gate<const N: usize, E: Dtype, D: Device<E>> {
        factors: Tensor<Rank1<N>, E, D>,
    }

    impl<const N: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for Gate<N, E, D> {
        type To<E2: Dtype, D2: Device<E2>> = Gate<N, E2, D2>;

        fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
            visitor: &mut V,
        ) -> Result<Option<Gate<N, V::E2, V::D2>>, V::Err> {
            let start = TensorOptions::reset_to_ones();
            let factors = Self::tensor("factors", |s| &s.factors, |s| &mut s.factors, start);
            visitor.visit_fields(factors, |factors| Gate { factors })
        }
    }

    impl<const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D> for Gate<N, E, D> {
        type State = ();

        fn try_initial_state(&self, _seed: u64) -> Result<(), SolveError> {
            Ok(())
        }

        fn try_forward<B: Dim, T: Tape<E, D>>(
            &self,
            _call: Call<'_, ()>,
            x: Tensor<(B, Const<N>), E, D, T>,
        ) -> Result<(Tensor<(B, Const<N>), E, D, T>, ()), SolveError> {
            let factors = self.factors.retaped::<T>();
            let factors = factors
                .try_broadcast_like(x.shape())
                .map_err(SolveError::device)?;
            Ok((x.try_mul(factors).map_err(SolveError::device)?, ()))
        }
    }
}

neural_ode! {
    struct Gated {
        input: [3],
        gate: Custom(gates::Gate<3>),
        ode: Ode {
            field(t, y): [Dense(3 => 6, tanh), Custom(crate::custom::gates::Gate<6>), Dense(6 => 3)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

pub(crate) fn train() -> Result<Losses, Box<dyn std::error::Error>> {
    let dev = AutoDevice::seed_from_u64(4);
    let mut model = Gated::<f32, _>::build(&dev);
    let x: Tensor<Rank2<8, 3>, f32, _> = dev.sample_normal();
    training::train(&mut model, &x, |y: Tensor<Rank2<8, 3>, f32, _, _>| {
        y.square().mean()
    })
}
