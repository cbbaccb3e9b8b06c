//! Dropout and batch normalisation, layer by layer.

use super::*;

// Dropout.

#[test]
fn the_same_state_drops_the_same_and_the_next_one_does_not() {
    let dev = Cpu::seed_from_u64(0);
    let model = Dropped::<f64, _>::build(&dev);
    let x = normal::<5, 6>(&dev);
    let state = model.initial_state(7).unwrap();
    let training = |state| {
        let (y, next, _) = model
            .try_forward_with_state(x.clone(), state, Mode::Training)
            .unwrap();
        (y.as_vec(), next)
    };
    let (first, next) = training(&state);
    let calls = (state.drop.calls, next.drop.calls, next.lift.calls);
    assert_eq!(calls, (0, 1, 1));
    assert_eq!(first, training(&state).0);
    assert_ne!(first, training(&next).0);
    assert_ne!(state.drop.seed, state.lift.seed);
    assert_ne!(first, training(&model.initial_state(8).unwrap()).0);
}

#[test]
fn dropout_is_the_identity_in_inference_and_keeps_its_state() {
    let x = normal::<5, 6>(&Cpu::seed_from_u64(1));
    let layer = Dropout { probability: 0.9 };
    let state = DropoutState { seed: 3, calls: 4 };
    assert_eq!(
        call(&layer, Mode::Inference, &state, &x),
        (x.as_vec(), state)
    );
}

#[test]
fn dropout_keeps_the_expectation_and_drops_as_often_as_it_says() {
    let dev = Cpu::default();
    let x: Tensor<Rank2<64, 128>, f64, _> = dev.ones();
    for probability in [0.0, 0.1, 0.5, 0.9] {
        let layer = Dropout { probability };
        let mut state = DropoutState { seed: 5, calls: 0 };
        let (mut sum, mut dropped, mut count) = (0.0, 0.0, 0.0);
        for _ in 0..8 {
            let (y, next) = call(&layer, Mode::Training, &state, &x);
            state = next;
            sum += y.iter().sum::<f64>();
            dropped += y
                .iter()
                .map(|y| f64::from(u8::from(*y == 0.0)))
                .sum::<f64>();
            count += f64::from(u32::try_from(y.len()).unwrap());
            let kept = 1.0 / (1.0 - probability);
            assert!(y.iter().all(|y| [0.0, kept].contains(y)));
        }
        // Five standard deviations.
        let deviation = (probability * (1.0 - probability) / count).sqrt();
        assert!((dropped / count - probability).abs() <= 5.0 * deviation);
        assert!((sum / count - 1.0).abs() <= 5.0 * deviation / (1.0 - probability));
    }
}

#[test]
fn what_is_dropped_depends_on_the_place_alone() {
    let dev = Cpu::default();
    let layer = Dropout { probability: 0.5 };
    let state = DropoutState { seed: 11, calls: 2 };
    let x: Tensor<Rank2<7, 9>, f64, _> = dev.ones();
    let (many, _) = call(&layer, Mode::Training, &state, &x);
    let x: Tensor<Rank2<3, 9>, f64, _> = dev.ones();
    let (few, _) = call(&layer, Mode::Training, &state, &x);
    assert_eq!(many[..27], few);
    // Rows are not all alike.
    assert_ne!(few[..9], few[9..18]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let alone = pool
        .unwrap()
        .install(|| call(&layer, Mode::Training, &state, &x).0);
    assert_eq!(alone, few);
}

#[test]
fn a_probability_outside_of_its_domain_is_an_error() {
    let dev = Cpu::seed_from_u64(0);
    let mut model = Dropped::<f64, _>::build(&dev);
    let state = model.initial_state(0).unwrap();
    assert_eq!(
        (model.drop.probability, model.lift.1.probability),
        (0.5, 0.25)
    );
    for wrong in [1.0, -0.1, f64::NAN] {
        model.drop.probability = wrong;
        let x = normal::<2, 6>(&dev);
        let error = model.try_forward_with_state(x, &state, Mode::Training);
        let SolveError::InvalidSetting { layer, name, .. } = error.unwrap_err() else {
            panic!("another error");
        };
        assert_eq!((layer, name), ("Dropout", "probability"));
    }
}

// Batch normalisation.

/// Mean and biased variance of the feature or channel `c`.
fn statistics(x: &[f64], (channels, length): (usize, usize), c: usize) -> (f64, f64, f64) {
    let of_channel = |(index, _): &(usize, &f64)| index / length % channels == c;
    let values = x.iter().enumerate().filter(of_channel);
    let values: Vec<f64> = values.map(|(_, x)| *x).collect();
    let count = f64::from(u32::try_from(values.len()).unwrap());
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|x| (x - mean).powi(2));
    (mean, squares.sum::<f64>() / count, count)
}

fn normalised(
    x: &[f64],
    (channels, length): (usize, usize),
    c: usize,
    (mean, variance): (f64, f64),
) -> Vec<(usize, f64)> {
    let of_channel = |(index, _): &(usize, &f64)| index / length % channels == c;
    let values = x.iter().enumerate().filter(of_channel);
    values
        .map(|(index, x)| (index, (x - mean) / (variance + 1e-5).sqrt()))
        .collect()
}

/// `PyTorch`'s formulas, by hand, over three batches and both modes.
fn check_batch_norm<const C: usize, const L: usize, const N: usize>() {
    let dev = Cpu::seed_from_u64(5);
    let weight: Tensor<Rank1<C>, f64, _> = dev.sample_normal();
    let bias: Tensor<Rank1<C>, f64, _> = dev.sample_normal();
    let layer = BatchNorm {
        weight: weight.clone(),
        bias: bias.clone(),
        momentum: 0.3,
        epsilon: 1e-5,
    };
    let mut state = Layer::<N, N, f64, Cpu>::try_initial_state(&layer, 0).unwrap();
    let (mut mean, mut variance) = (vec![0.0; C], vec![1.0; C]);
    for batch in 1..4 {
        let x = normal::<5, N>(&dev) * 3.0 + f64::from(batch);
        let numbers = x.as_vec();
        let (mut trained, mut used) = (vec![0.0; 5 * N], vec![0.0; 5 * N]);
        let (found_used, same) = call(&layer, Mode::Inference, &state, &x);
        let (found_trained, next) = call(&layer, Mode::Training, &state, &x);
        assert_eq!(same.mean.as_vec(), state.mean.as_vec());
        for c in 0..C {
            let (w, b) = (weight.as_vec()[c], bias.as_vec()[c]);
            let (batch_mean, batch_variance, count) = statistics(&numbers, (C, L), c);
            for (index, z) in normalised(&numbers, (C, L), c, (mean[c], variance[c])) {
                used[index] = z * w + b;
            }
            for (index, z) in normalised(&numbers, (C, L), c, (batch_mean, batch_variance)) {
                trained[index] = z * w + b;
            }
            mean[c] = 0.7 * mean[c] + 0.3 * batch_mean;
            variance[c] = 0.7 * variance[c] + 0.3 * batch_variance * count / (count - 1.0);
        }
        assert_close(&found_used, &used, 1e-13);
        assert_close(&found_trained, &trained, 1e-13);
        state = next;
        assert_close(&state.mean.as_vec(), &mean, 1e-14);
        assert_close(&state.variance.as_vec(), &variance, 1e-14);
        assert_eq!(state.batches, u64::try_from(batch).unwrap());
    }
}

#[test]
fn batch_norm_follows_its_formulas_per_feature() {
    check_batch_norm::<4, 1, 4>();
}

#[test]
fn batch_norm_follows_its_formulas_per_channel() {
    check_batch_norm::<3, 6, 18>();
}

#[test]
fn one_number_per_feature_has_no_statistics() {
    let dev = Cpu::seed_from_u64(0);
    let model = Full::<f64, _>::build(&dev);
    let state = model.initial_state(0).unwrap();
    let x = normal::<1, 3>(&dev);
    let error = model.try_forward_with_state(x.clone(), &state, Mode::Training);
    assert!(matches!(
        error.unwrap_err(),
        SolveError::BatchStatistics { values: 1 }
    ));
    assert!(model
        .try_forward_with_state(x, &state, Mode::Inference)
        .is_ok());
}

#[test]
fn settings_of_batch_norm_outside_of_their_domains_are_errors() {
    let dev = Cpu::seed_from_u64(0);
    let model = Full::<f64, _>::build(&dev);
    let state = model.initial_state(0).unwrap();
    for (momentum, epsilon, wrong) in [(1.5, 1e-5, "momentum"), (0.1, 0.0, "epsilon")] {
        let mut model = model.clone();
        (model.norm.momentum, model.norm.epsilon) = (momentum, epsilon);
        let error = model.try_forward_with_state(normal::<4, 3>(&dev), &state, Mode::Inference);
        let error = error.unwrap_err();
        let SolveError::InvalidSetting { layer, name, .. } = error else {
            panic!("another error: {error}");
        };
        assert_eq!((layer, name), ("BatchNorm", wrong));
    }
}
