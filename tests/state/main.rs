//! Layers with state: batch normalisation, dropout, and layers of a user's own.

#![allow(missing_docs, reason = "a test program")]

use std::any::type_name;

use neuralode::{
    layer::{BatchNorm, BatchNormState, Call, Dropout, DropoutState, Layer},
    prelude::*,
    Adjoint, Backend, Frozen, StatefulField, StepSizes,
};

#[path = "../support/mod.rs"]
mod support;

mod layers;
mod models;

use support::kernels::{instance_of, random_module};

mod gates {
    //! Layers as a user writes them.

    use dfdx::nn::TensorOptions;
    use neuralode::{layer::Call, layer::Layer, prelude::*};

    /// Every feature times a learned factor. Has no state.
    #[derive(Clone, Debug)]
    pub(crate) struct Gain<E: Dtype, D: Device<E>> {
        pub(crate) factor: Tensor<Rank0, E, D>,
    }

    impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Gain<E, D> {
        type To<E2: Dtype, D2: Device<E2>> = Gain<E2, D2>;

        fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
            visitor: &mut V,
        ) -> Result<Option<Gain<V::E2, V::D2>>, V::Err> {
            visitor.visit_fields(
                Self::tensor(
                    "factor",
                    |s| &s.factor,
                    |s| &mut s.factor,
                    TensorOptions::reset_to_ones(),
                ),
                |factor| Gain { factor },
            )
        }
    }

    impl<const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D> for Gain<E, D> {
        type State = ();

        fn try_initial_state(&self, _: u64) -> Result<(), SolveError> {
            Ok(())
        }

        fn try_forward<B: Dim, T: Tape<E, D>>(
            &self,
            _: Call<'_, ()>,
            x: Tensor<(B, Const<N>), E, D, T>,
        ) -> Result<(Tensor<(B, Const<N>), E, D, T>, ()), SolveError> {
            let factor = self.factor.retaped::<T>();
            let factor = factor
                .try_broadcast_like(x.shape())
                .map_err(SolveError::device)?;
            Ok((x.try_mul(factor).map_err(SolveError::device)?, ()))
        }
    }

    /// The first `K` features, and how often it was called, and the time of the last call.
    #[derive(Clone, Copy, Debug, Default)]
    pub(crate) struct First<const K: usize, E, D>(core::marker::PhantomData<(E, D)>);

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Calls {
        pub(crate) count: u64,
        pub(crate) t: f64,
    }

    impl<const K: usize, E: Dtype, D: Device<E>> TensorCollection<E, D> for First<K, E, D> {
        type To<E2: Dtype, D2: Device<E2>> = First<K, E2, D2>;

        fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
            visitor: &mut V,
        ) -> Result<Option<First<K, V::E2, V::D2>>, V::Err> {
            visitor.visit_fields((), |()| First(core::marker::PhantomData))
        }
    }

    impl<const K: usize, const N: usize, E: Dtype, D: Device<E>> Layer<N, K, E, D> for First<K, E, D> {
        type State = Calls;

        fn try_initial_state(&self, _: u64) -> Result<Calls, SolveError> {
            Ok(Calls { count: 0, t: -1.0 })
        }

        fn try_forward<B: Dim, T: Tape<E, D>>(
            &self,
            call: Call<'_, Calls>,
            x: Tensor<(B, Const<N>), E, D, T>,
        ) -> Result<(Tensor<(B, Const<K>), E, D, T>, Calls), SolveError> {
            let to = (x.shape().0, Const);
            let first = neuralode::layer::resize(x, to)?;
            let next = Calls {
                count: call.state.count + 1,
                t: call.t,
            };
            Ok((first, next))
        }
    }
}

use gates::{Calls, Gain};

neural_ode! {
    #[derive(Clone, Debug)]
    struct Dropped {
        input: [6],
        lift: [Dense(6 => 8, tanh), Dropout(0.25)],
        drop: Dropout(0.5),
        head: Dense(8 => 2),
    }
}

const RATE: f64 = 0.25;

neural_ode! {
    /// State everywhere: in stages, in residual layers, in a field.
    #[derive(Clone, Debug)]
    struct Full {
        input: [3],
        norm: BatchNorm,
        lift: [Dense(3 => 4, tanh), Residual[Dense(4 => 4), BatchNorm(momentum: 0.2, epsilon: 1e-3), Dropout(RATE)]],
        ode: Ode {
            field(t, y): [Dense(4 => 6, tanh), LayerNorm, Dropout(0.3), Append(t), Dense(_ => 4)],
            span: 0.5..1.0,
            solver: Tsit5 { rtol: 1e-8, atol: 1e-8 },
        },
        head: Dense(4 => 2),
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Counted {
        input: [2, 3],
        first: Custom(gates::First<4> => [2, 2]),
        ode: Ode {
            field(t, y): [Flatten, Custom(gates::First<4>), Dense(4 => 4, tanh), Reshape([2, 2])],
            span: 0.25..1.0,
            solver: Rk4 { dt: 0.125 },
        },
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Gained {
        input: [4],
        gain: Custom(Gain),
        ode: Ode {
            field(t, y): [Dense(4 => 4, tanh), Custom(crate::gates::Gain)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-9, atol: 1e-9 },
        },
        head: [Dense(4 => 2), Custom(Gain)],
    }
}

fn normal<const B: usize, const N: usize>(dev: &Cpu) -> Tensor<Rank2<B, N>, f64, Cpu> {
    dev.sample_normal()
}

/// Calls a layer on its own.
fn call<const B: usize, const N: usize, L: Layer<N, N, f64, Cpu>>(
    layer: &L,
    mode: Mode,
    state: &L::State,
    x: &Tensor<Rank2<B, N>, f64, Cpu>,
) -> (Vec<f64>, L::State) {
    let call = Call {
        t: 0.0,
        mode,
        state,
    };
    let (y, next) = layer.try_forward(call, x.clone()).unwrap();
    (y.as_vec(), next)
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let scale = expected.abs().max(1.0);
        assert!(
            (found - expected).abs() <= tolerance * scale,
            "{found} {expected}"
        );
    }
}
