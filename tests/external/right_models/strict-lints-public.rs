// A public model is silent under every lint that a careful crate may deny, documented as far as it must be.
//! A crate.

#![deny(
    warnings,
    missing_docs,
    missing_debug_implementations,
    missing_copy_implementations,
    unused,
    unused_qualifications,
    unused_lifetimes,
    unused_results,
    unreachable_pub,
    unnameable_types,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    non_ascii_idents,
    let_underscore_drop,
    future_incompatible,
    rust_2018_idioms,
    rust_2021_compatibility,
    rust_2024_compatibility,
    nonstandard_style,
    clippy::all,
    clippy::pedantic,
    clippy::nursery
)]
#![forbid(unsafe_code)]

use neuralode::prelude::{neural_ode, Cpu};

/// Features.
pub const HIDDEN: usize = 8;

neural_ode! {
    /// A model.
    #[derive(Clone, Debug)]
    pub struct Model {
        input: [2, 2],
        /// To features.
        encoder: [Flatten, Dense(4 => HIDDEN, tanh), Dense(HIDDEN => 4)],
        ode: Ode {
            field(t, y): [Dense(4 => HIDDEN, relu), sin, Dense(HIDDEN => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 2),
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    pub struct Small {
        input: [3],
        only: tanh,
    }
}

/// A layer of its own.
pub mod gain {
    use neuralode::{
        layer::{Call, Layer},
        prelude::*,
    };

    /// Twice the features.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Double<E, D>(core::marker::PhantomData<(E, D)>);

    impl<E: Dtype, D: Device<E>> TensorCollection<E, D> for Double<E, D> {
        type To<E2: Dtype, D2: Device<E2>> = Double<E2, D2>;

        fn iter_tensors<V: ModuleVisitor<Self, E, D>>(
            visitor: &mut V,
        ) -> Result<Option<Double<V::E2, V::D2>>, V::Err> {
            visitor.visit_fields((), |()| Double(core::marker::PhantomData))
        }
    }

    impl<const N: usize, E: Dtype, D: Device<E>> Layer<N, N, E, D> for Double<E, D> {
        type State = ();

        fn try_initial_state(&self, _: u64) -> Result<(), SolveError> {
            Ok(())
        }

        fn try_forward<B: Dim, T: Tape<E, D>>(
            &self,
            _: Call<'_, ()>,
            x: Tensor<(B, Const<N>), E, D, T>,
        ) -> Result<(Tensor<(B, Const<N>), E, D, T>, ()), SolveError> {
            Ok((x.try_mul(E::ONE + E::ONE).map_err(SolveError::device)?, ()))
        }
    }
}

neural_ode! {
    /// A model with state.
    #[derive(Clone, Debug)]
    pub struct WithState {
        input: [2, 2],
        norm: BatchNorm(momentum: 0.2),
        body: [Flatten, Residual[Dropout(0.5), Dense(4 => 4)], Custom(gain::Double)],
        ode: Ode {
            field(t, y): [LayerNorm, Dense(4 => 4), Dropout(0.1), Custom(crate::gain::Double)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.1 },
        },
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    pub struct Own {
        input: [3],
        only: Custom(gain::Double),
    }
}

fn main() {
    let with_state = WithState::<f32, _>::build(&Cpu::default());
    println!("{:?}", with_state.initial_state(0));
    println!("{}", Own::<f32, _>::build(&Cpu::default()).summary());
    let model = Model::<f32, _>::build(&Cpu::default());
    let small = Small::<f32, _>::build(&Cpu::default());
    println!("{}\n{}", model.summary(), small.summary());
}
