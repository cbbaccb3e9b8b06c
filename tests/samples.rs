//! Samples in memory give a model the bits that a tensor of them does, without a copy.

#![allow(missing_docs, reason = "a test program")]

mod support;

use neuralode::{ode::error::Quantity, prelude::*};
use support::{gradients_of, to_f64};

const WIDTH: usize = 6;

neural_ode! {
    #[derive(Clone, Debug)]
    struct Images {
        input: [2, 3],
        encoder: [Flatten, Dense(WIDTH => 5, gelu)],
        ode: Ode {
            field(t, y): [Dense(5 => 4, tanh), Dense(4 => 5)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-4, atol: 1e-4 },
        },
        head: Dense(5 => 3),
    }
}

fn numbers<E: Dtype>(count: usize) -> Vec<E> {
    let at = |i: usize| f64::from(u32::try_from(i).unwrap());
    let wave = (0..count).map(|i| (0.7 * at(i)).sin());
    wave.map(|x| E::from_f64(x).unwrap()).collect()
}

fn bits_are_those_of_tensors<E: Dtype>()
where
    Cpu: Device<E>,
{
    let dev = Cpu::seed_from_u64(1);
    let model = Images::<E, _>::build(&dev);
    let set = Samples::new(6, &numbers::<E>(10 * 6)).unwrap();
    let batch = set.range(2..9).unwrap();
    let x = batch.try_tensor(&dev, (7, Const::<2>, Const::<3>)).unwrap();

    let (found, stats) = model.try_forward_samples(&batch).unwrap();
    let (expected, expected_stats) = model.try_forward_with_stats(x.clone()).unwrap();
    assert_eq!(to_f64(&found.as_vec()), to_f64(&expected.as_vec()));
    assert_eq!(stats, expected_stats);

    let gradients = |y: Tensor<(usize, Const<3>), E, Cpu, OwnedTape<E, Cpu>>| {
        let (gradients, _) = try_backward(y.square().mean::<Rank0, _>()).unwrap();
        gradients_of(&model, &gradients)
    };
    let (found, _) = model
        .try_forward_samples_traced(&batch, model.alloc_grads())
        .unwrap();
    let (expected, _) = model.try_forward_traced(x, model.alloc_grads()).unwrap();
    let (found, expected) = (gradients(found), gradients(expected));
    assert_eq!(found, expected);
    assert!(found.concat().iter().any(|&x| x != 0.0));
}

#[test]
fn a_model_gives_the_same_bits_for_samples_as_for_a_tensor() {
    bits_are_those_of_tensors::<f32>();
    bits_are_those_of_tensors::<f64>();
}

#[test]
fn ranges_share_the_memory_of_all_samples() {
    let set = Samples::new(3, &numbers::<f32>(15)).unwrap();
    let part = set.range(1..4).unwrap().range(1..2).unwrap();
    assert_eq!(part.numbers().as_ptr(), set.numbers()[6..].as_ptr());
    assert_eq!((part.len(), part.features()), (1, 3));
    assert!(set.range(4..4).unwrap().is_empty());
}

#[test]
fn samples_written_in_place_are_those_given() {
    let given = numbers::<f64>(12);
    let written = Samples::from_fn(4, 3, |sample, row| {
        row.copy_from_slice(&given[3 * sample..][..3]);
    })
    .unwrap();
    assert_eq!(
        written.numbers(),
        Samples::new(3, &given).unwrap().numbers()
    );
    // Every row of registers is one cache line.
    assert_eq!(written.numbers().as_ptr().addr() % 64, 0);
}

#[test]
fn more_samples_than_memory_are_an_error_with_their_shape() {
    for [samples, features] in [
        [1 << 33, 1 << 31],
        [usize::MAX, 1],
        [1, usize::MAX],
        [1 << 31, 1 << 31],
        // No overflow, and yet no machine has it.
        [1 << 30, 1 << 24],
    ] {
        let error = Samples::<f32>::from_fn(samples, features, |_, _| {}).unwrap_err();
        let shape = vec![samples, features];
        assert!(error.to_string().contains(&format!("{shape:?}")), "{error}");
        assert_eq!(error, SolveError::TooLarge { shape });
    }
}

#[test]
fn samples_that_do_not_fit_are_errors() {
    let model = Images::<f32, Cpu>::build(&Cpu::seed_from_u64(1));
    let fails = |samples: &Samples<f32>| model.try_forward_samples(samples).err().unwrap();

    let narrow = Samples::new(4, &numbers(8)).unwrap();
    let found = vec![2, 4];
    let expected = vec![2, 2, 3];
    assert_eq!(
        fails(&narrow),
        SolveError::ShapeMismatch { expected, found }
    );

    let none = Samples::new(6, &[]).unwrap();
    let shape = vec![0, 2, 3];
    assert_eq!(fails(&none), SolveError::EmptyBatch { shape });

    let mut broken = numbers(18);
    broken[13] = f32::NAN;
    let error = fails(&Samples::new(6, &broken).unwrap());
    let SolveError::NonFiniteData { quantity, sample } = error else {
        panic!("{error}");
    };
    assert_eq!((quantity, sample), (Quantity::Input, Some(2)));

    for error in [
        Samples::new(4, &numbers::<f32>(7)).err(),
        Samples::new(0, &numbers::<f32>(7)).err(),
        narrow.range(1..3).err(),
        #[allow(clippy::reversed_empty_ranges, reason = "what is tested")]
        narrow.range(2..1).err(),
    ] {
        assert!(matches!(error, Some(SolveError::ShapeMismatch { .. })));
    }
}

#[test]
fn a_first_layer_without_kernels_takes_samples_as_well() {
    let dev = Cpu::seed_from_u64(1);
    let mut model = Images::<f32, _>::build(&dev);
    // Transposed twice: the same numbers, in an order that kernels do not read.
    let weight = model.encoder.weight.clone();
    let turned: Tensor<Rank2<WIDTH, 5>, f32, _> = weight.permute();
    let copied: Tensor<Rank2<WIDTH, 5>, f32, _> = dev.tensor(turned.array());
    model.encoder.weight = copied.permute();
    let batch = Samples::new(6, &numbers(12)).unwrap();
    let x = batch.try_tensor(&dev, (2, Const::<2>, Const::<3>)).unwrap();
    let (found, _) = model.try_forward_samples(&batch).unwrap();
    let (expected, _) = model.try_forward_with_stats(x).unwrap();
    assert_eq!(found.as_vec(), expected.as_vec());
}
