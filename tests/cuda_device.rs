//! Models on dfdx's `Cuda` device: the same steps as on `Cpu`, the same numbers, the same training.
//!
//! Skips aloud without the feature `cuda`, and where there is no driver or no GPU. `scripts/gpu.sh` packs this program for
//! a machine that has a GPU and no Rust.

#![allow(missing_docs, reason = "a test program")]

mod support;

use neuralode::{prelude::*, Adjoint, Controller, Solver};
use support::{
    batch, differentiate, parameters_of, relative_error, set_parameters, shift_biases, skip,
    to_f64, Gradient,
};

neural_ode! {
    #[derive(Clone, Debug)]
    struct Classifier {
        input: [30],
        encoder: Dense(30 => 20, tanh),
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(20 => 4),
    }
}

/// Runs `$test` with a GPU, or says why it cannot.
macro_rules! on_a_gpu {
    (|$cuda:ident| $test:expr) => {
        #[cfg(feature = "cuda")]
        match neuralode::engine::cuda::open(0, 0) {
            Ok($cuda) => $test,
            Err(error) => skip(&error.to_string()),
        }
        #[cfg(not(feature = "cuda"))]
        {
            // Compiled on any machine, with the processor in the GPU's place.
            let compiled = |$cuda: Cpu| $test;
            let _ = compiled;
            skip("built without the feature `cuda`");
        }
    };
}

fn numbers(count: usize, step: f64) -> Vec<f64> {
    let at = |i: usize| f64::from(u32::try_from(i).unwrap_or(0));
    (0..count).map(|i| (step * at(i)).sin()).collect()
}

/// A solve and its gradient on a device, from the same numbers on each.
fn gradient_on<E: Dtype, D: Device<E>>(device: &D, options: &SolveOptions) -> Gradient
where
    ClassifierOdeField<E, D>: TensorField<20, E, D> + BuildModule<D, E>,
{
    let cpu = Cpu::seed_from_u64(3);
    let mut start: ClassifierOdeField<f64, Cpu> = BuildModule::build(&cpu);
    shift_biases(&mut start);
    let mut field: ClassifierOdeField<E, D> = BuildModule::build(device);
    set_parameters(&mut field, &parameters_of(&start));
    let block = NeuralOde::new(field, options.clone());
    let y0 = batch::<20, E, D>(device, &numbers(37 * 20, 0.7));
    let cotangent = batch::<20, E, D>(device, &numbers(37 * 20, 1.3));
    differentiate(&block, &y0, &cotangent).expect("a solve of a smooth field")
}

fn assert_equal_gradients<E: Dtype, D: Device<E>>(device: &D, tolerance: f64, bound: f64)
where
    Cpu: Device<E>,
    ClassifierOdeField<E, D>: TensorField<20, E, D> + BuildModule<D, E>,
    ClassifierOdeField<E, Cpu>: TensorField<20, E, Cpu> + BuildModule<Cpu, E>,
{
    let span = SolveOptions::new(0.0, 1.5, tolerance, tolerance);
    let equal = Controller::Constant { dt: 0.1 };
    let all = [
        span.clone(),
        span.clone().with_adjoint(Adjoint::Interpolating),
        span.clone().with_adjoint(Adjoint::Backsolve),
        span.clone().with_solver(Solver::Dopri5),
        span.clone().with_controller(equal).with_solver(Solver::Rk4),
        span.with_span(1.0, -0.5),
    ];
    for options in &all {
        let found = gradient_on::<E, D>(device, options);
        let expected = gradient_on::<E, Cpu>(&Cpu::default(), options);
        let what = format!("{:?}, {:?}", options.solver, options.adjoint);
        assert_eq!(found.forward, expected.forward, "{what}: steps");
        let pairs = [
            (&found.y1, &expected.y1, "y1"),
            (&found.y0_bar, &expected.y0_bar, "dL/dy0"),
            (
                &found.theta_bar.concat(),
                &expected.theta_bar.concat(),
                "dL/dtheta",
            ),
        ]
        .map(|(found, expected, name)| (relative_error(found, expected), name));
        println!("{what}: {pairs:?}");
        for (error, name) in pairs {
            assert!(error <= bound, "{what}: {name} differs by {error:e}");
        }
    }
}

#[test]
fn solves_and_gradients_are_those_of_the_processor() {
    on_a_gpu!(|gpu| {
        assert_equal_gradients::<f64, _>(&gpu, 1e-8, 1e-9);
        assert_equal_gradients::<f32, _>(&gpu, 1e-3, 1e-4);
    });
}

/// Losses of ten steps of Adam on the same images everywhere.
fn losses_on<D: Device<f32>>(device: &D) -> Vec<f64>
where
    Classifier<f32, D>: BuildModule<D, f32>,
{
    let start = Classifier::<f32, _>::build(&Cpu::seed_from_u64(5));
    let mut model = Classifier::<f32, D>::build(device);
    set_parameters(&mut model, &parameters_of(&start));
    let images = batch::<30, f32, D>(device, &numbers(64 * 30, 0.9));
    let labels = (0..64).map(|i| i % 4).collect::<Vec<_>>();
    let targets = device.one_hot_encode(Const::<4>, labels);
    let mut optimizer = Adam::new(&model, AdamConfig::default());
    let step = |_| {
        let gradients = model.alloc_grads();
        let (logits, _) = model
            .try_forward_traced(images.clone(), gradients)
            .expect("a forward pass");
        let loss = softmax_cross_entropy(logits, targets.clone());
        let value = to_f64(&loss.as_vec())[0];
        let (gradients, _) = try_backward(loss).expect("a backward pass");
        optimizer.update(&mut model, &gradients).expect("gradients");
        value
    };
    (0..10).map(step).collect()
}

#[test]
fn training_follows_the_processor() {
    on_a_gpu!(|gpu| {
        let (found, expected) = (losses_on(&gpu), losses_on(&Cpu::default()));
        println!("{found:?}\n{expected:?}");
        assert!(relative_error(&found, &expected) <= 1e-4);
        assert!(found[9] < found[0]);
    });
}

#[test]
fn a_gpu_that_is_not_there_is_named() {
    #[cfg(feature = "cuda")]
    {
        let error = neuralode::engine::cuda::open(1000, 0).expect_err("not a thousand GPUs");
        assert!(matches!(error, SolveError::Device(_)), "{error}");
    }
    #[cfg(not(feature = "cuda"))]
    skip("built without the feature `cuda`");
}
