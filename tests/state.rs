//! Layers with state: batch normalisation, dropout, and layers of a user's own.

#![allow(missing_docs, reason = "a test program")]

use neuralode::prelude::*;

neural_ode! {
    #[derive(Clone, Debug)]
    struct Dropped {
        input: [6],
        lift: [Dense(6 => 8, tanh), Dropout(0.25)],
        drop: Dropout(0.5),
        head: Dense(8 => 2),
    }
}

#[test]
fn the_same_state_drops_the_same_and_the_next_one_does_not() {
    let dev = Cpu::seed_from_u64(0);
    let model = Dropped::<f64, _>::build(&dev);
    let x: Tensor<Rank2<5, 6>, f64, _> = dev.sample_normal();
    let state = model.initial_state(7).unwrap();
    let training = |state| {
        let (y, next, _) = model
            .try_forward_with_state(x.clone(), state, Mode::Training)
            .unwrap();
        (y.as_vec(), next)
    };
    let (first, next) = training(&state);
    assert_eq!(
        (state.drop.calls, next.drop.calls, next.lift.calls),
        (0, 1, 1)
    );
    assert_eq!(first, training(&state).0);
    assert_ne!(first, training(&next).0);
    assert_ne!(state.drop.seed, state.lift.seed);
}
