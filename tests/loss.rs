//! The softmax cross entropy as one operation, against dfdx's operations.

#![allow(missing_docs, reason = "a test program")]

mod support;

use neuralode::prelude::*;
use support::{relative_error, to_f64};

/// Value and gradient of `3 * loss`.
fn pass<S: Shape, E: Dtype>(
    logits: &Tensor<S, E, Cpu>,
    loss: impl FnOnce(Tensor<S, E, Cpu, OwnedTape<E, Cpu>>) -> Tensor<Rank0, E, Cpu, OwnedTape<E, Cpu>>,
) -> (Vec<f64>, Vec<f64>)
where
    Cpu: Device<E>,
{
    let loss = loss(logits.leaky_trace());
    let value = to_f64(&loss.as_vec());
    let gradients = (loss * E::from_f64(3.0).unwrap()).backward();
    (value, to_f64(&gradients.get(logits).as_vec()))
}

fn agrees<S: Shape, E: Dtype>(shape: S, logits: &[f64], targets: &[f64], bound: f64)
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let tensor = |values: &[f64]| {
        let values = values.iter().map(|&x| E::from_f64(x).unwrap()).collect();
        dev.tensor_from_vec(values, shape)
    };
    let (logits, targets): (Tensor<S, E, _>, Tensor<S, E, _>) = (tensor(logits), tensor(targets));
    let found = pass(&logits, |logits| {
        softmax_cross_entropy(logits, targets.clone())
    });
    let expected = pass(&logits, |logits| {
        cross_entropy_with_logits_loss(logits, targets.clone())
    });
    let errors = (
        relative_error(&found.0, &expected.0),
        relative_error(&found.1, &expected.1),
    );
    assert!(errors.0 <= bound && errors.1 <= bound, "{errors:?}");
}

fn agrees_on_all<E: Dtype>(bound: f64)
where
    Cpu: Device<E>,
{
    let wave = |count: u32, scale: f64| -> Vec<f64> {
        (0..count)
            .map(|i| scale * (f64::from(i) * 12.9898).sin())
            .collect()
    };
    let one_hot = |rows: usize, classes: usize| -> Vec<f64> {
        (0..rows * classes)
            .map(|i| f64::from(u8::from(i % classes == (i / classes * 7) % classes)))
            .collect()
    };
    agrees::<_, E>((37, Const::<10>), &wave(370, 2.0), &one_hot(37, 10), bound);
    agrees::<_, E>(
        (Const::<1>, Const::<1>),
        &wave(1, 2.0),
        &[1.0],
        f64::INFINITY,
    );
    agrees::<_, E>((Const::<9>,), &wave(9, 2.0), &one_hot(1, 9), bound);
    agrees::<_, E>((2, Const::<3>, 4), &wave(24, 2.0), &one_hot(6, 4), bound);
    // Soft targets of any mass, some of them negative.
    agrees::<_, E>((5, Const::<10>), &wave(50, 2.0), &wave(50, 0.7), bound);
    // Logits that exp cannot take.
    agrees::<_, E>((5, Const::<10>), &wave(50, 1e4), &one_hot(5, 10), bound);
    agrees::<_, E>(
        (Const::<2>, Const::<3>),
        &[1e4, -1e4, 0.0, -1e4, -1e4, -1e4],
        &[0.2, 0.3, 0.5, 1.0, 0.0, 0.0],
        bound,
    );
}

#[test]
fn value_and_gradient_agree_with_dfdx_in_f32() {
    agrees_on_all::<f32>(1e-6);
}

#[test]
fn value_and_gradient_agree_with_dfdx_in_f64() {
    agrees_on_all::<f64>(1e-12);
}

#[test]
fn an_untaped_loss_is_the_same_number() {
    let dev = Cpu::seed_from_u64(0);
    let logits: Tensor<Rank2<6, 5>, f32, _> = dev.sample_normal();
    let targets = dev.one_hot_encode(Const::<5>, [0, 1, 2, 3, 4, 0]);
    let taped = softmax_cross_entropy(logits.leaky_trace(), targets.clone());
    let untaped = softmax_cross_entropy(logits, targets);
    assert_eq!(untaped.as_vec(), taped.as_vec());
}

#[test]
fn nan_reaches_the_loss_and_the_gradient_of_its_sample() {
    let dev = Cpu::default();
    for at in 0..3 {
        let mut values = [[0.5_f64, -0.25, 1.0], [0.1, 0.2, 0.3]];
        values[0][at] = f64::NAN;
        let logits = dev.tensor(values);
        let targets = dev.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]);
        let loss = softmax_cross_entropy(logits.leaky_trace(), targets);
        assert!(loss.array().is_nan());
        let gradient = loss.backward().get(&logits).array();
        assert!(gradient[0].iter().all(|x| x.is_nan()));
        assert!(gradient[1].iter().all(|x| x.is_finite()));
    }
}

#[test]
fn layouts_do_not_matter() {
    let dev = Cpu::seed_from_u64(0);
    let columns: Tensor<Rank2<5, 6>, f64, _> = dev.sample_normal();
    let logits: Tensor<Rank2<6, 5>, f64, _> = columns.permute();
    let targets = dev.one_hot_encode(Const::<5>, [0, 1, 2, 3, 4, 0]);
    let copied = logits.clone().contiguous();
    let (found, expected) = (
        pass(&logits, |x| softmax_cross_entropy(x, targets.clone())),
        pass(&copied, |x| softmax_cross_entropy(x, targets.clone())),
    );
    assert_eq!(found, expected);
}

#[test]
fn batches_of_different_sizes_and_empty_ones_are_typed_errors() {
    let dev = Cpu::default();
    let of_rows =
        |rows: usize| -> Tensor<(usize, Const<3>), f64, _> { dev.zeros_like(&(rows, Const::<3>)) };
    let failed = try_softmax_cross_entropy(of_rows(2), of_rows(4));
    assert!(matches!(failed, Err(SolveError::ShapeMismatch { .. })));
    let failed = try_softmax_cross_entropy(of_rows(0), of_rows(0));
    assert!(matches!(failed, Err(SolveError::EmptyBatch { .. })));
}
