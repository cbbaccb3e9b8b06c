//! Generated kernels against the portable field: values, products, solves and gradients, over 240 random
//! instances of twelve models, in both types.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "small numbers"
)]

mod support;

use neuralode::{engine::Tiles, prelude::*, Backend, Controller};
use support::{batch, differentiate, kernels::assert_close};

const WIDTH: usize = 6;

models! {
    Tutorial: 20, [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)];
    OneDense: 3, [Dense(3 => 3)];
    Narrow: 1, [Dense(1 => 7, tanh), Dense(7 => 1)];
    Wide: 4, [Dense(4 => 33, tanh), Dense(33 => 4)];
    Waves: 5, [Dense(5 => 9, sin), Dense(9 => 5, sin)];
    Gates: 6, [Dense(6 => 8, sigmoid), Dense(8 => 6, tanh)];
    Kinks: 4, [Dense(4 => 12, relu), Dense(12 => 4)];
    Bare: 7, [sin, Dense(7 => 5), tanh, sigmoid, Dense(5 => 7)];
    Constants: WIDTH, [Dense(_ => 11, tanh), Dense(WIDTH)];
    Nothing: 2, [tanh, identity];
    Broad: 45, [Dense(45 => 53, tanh), Dense(53 => 45)];
    Cubes: 2, [tanh, Pow(3), Dense(2 => 9, tanh), Pow(2), Pow(1), Dense(9 => 2)];
}

compare! {
    10 instances;
    the_tutorials_field_agrees: 20, TutorialOdeField;
    a_single_layer_agrees: 3, OneDenseOdeField;
    a_scalar_state_agrees: 1, NarrowOdeField;
    a_wide_hidden_layer_agrees: 4, WideOdeField;
    layers_of_thousands_of_weights_agree: 45, BroadOdeField;
    sines_agree: 5, WavesOdeField;
    sigmoids_agree: 6, GatesOdeField;
    relus_agree: 4, KinksOdeField;
    bare_activations_agree: 7, BareOdeField;
    constant_widths_agree: WIDTH, ConstantsOdeField;
    a_field_without_parameters_agrees: 2, NothingOdeField;
    powers_agree: 2, CubesOdeField;
}

#[test]
fn rows_survive_the_way_through_tiles() {
    for samples in [1, 15, 16, 17, 64, 65] {
        let rows: Vec<f64> = (0..samples * 3).map(f64::from).collect();
        assert_eq!(
            Tiles::<f64, 16>::from_flat(3, &rows).unwrap().to_rows(),
            rows
        );
    }
}

#[test]
fn a_batch_gives_every_sample_the_bits_it_has_in_any_other_place() {
    // With equal steps no sample sees another: reversing the batch reverses the result.
    let dev = Cpu::default();
    let mut model = Tutorial::<f32, _>::build(&Cpu::seed_from_u64(1));
    model.ode.options.controller = Controller::Constant { dt: 0.1 };
    let rows: Vec<f32> = (0..37 * 20).map(|i| (i as f32 * 0.1).sin()).collect();
    let reversed: Vec<f32> = rows.chunks(20).rev().flatten().copied().collect();
    let solve = |rows: Vec<f32>| {
        model
            .forward(dev.tensor_from_vec(rows, (37_usize, Const::<20>)))
            .as_vec()
    };
    let expected: Vec<f32> = solve(rows).chunks(20).rev().flatten().copied().collect();
    assert_eq!(solve(reversed), expected);
}

#[test]
fn adaptive_solves_in_f64_take_the_same_steps_to_the_same_result() {
    let dev = Cpu::seed_from_u64(3);
    for tolerance in [1e-3, 1e-6, 1e-9] {
        let mut model = Tutorial::<f64, _>::build(&dev);
        let x: Tensor<Rank2<21, 20>, f64, _> = dev.sample_uniform();
        model.ode.options.rtol = tolerance;
        model.ode.options.atol = tolerance;
        let (y, work) = model.try_forward_with_stats(x.clone()).unwrap();
        model.ode.options.backend = Backend::Operations;
        let (expected, expected_work) = model.try_forward_with_stats(x).unwrap();
        assert_eq!(work, expected_work);
        assert_close("solution", &y.as_vec(), &expected.as_vec(), 1e-11);
    }
}

#[test]
fn threads_change_no_bit() {
    // Enough work for two threads (`parallel.rs`), forward and backward.
    let solve = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let dev = Cpu::default();
            let field: TutorialOdeField<f32, Cpu> = BuildModule::build(&Cpu::seed_from_u64(1));
            let options = SolveOptions::new(0.0, 1.0, 1e-4, 1e-4);
            let rows: Vec<f64> = (0..4096 * 20).map(|i| f64::from(i).sin()).collect();
            let cotangent: Vec<f64> = (0..4096 * 20).map(|i| f64::from(i).cos()).collect();
            let (y0, c) = (batch(&dev, &rows), batch(&dev, &cotangent));
            let found = differentiate(&NeuralOde::new(field, options), &y0, &c).unwrap();
            (found.y1, found.y0_bar, found.theta_bar)
        })
    };
    // Not the numbers in the message: there are many.
    assert!(solve(1) == solve(2), "one thread and two differ");
}
