//! Models on dfdx's `Cuda` device: the same steps as on `Cpu`, the same numbers, the same training.
//!
//! Skips aloud without the feature `cuda`, and where there is no driver or no GPU. `scripts/gpu.sh` packs this program for
//! a machine that has a GPU and no Rust; `scripts/emulated-gpu.sh` runs the tests named `a_block_..` on any machine.

#![allow(missing_docs, reason = "a test program")]

mod support;

use neuralode::{
    ode::error::Quantity, prelude::*, take_backward_report, Adjoint, Backend, Control, Controller,
    Frozen, Solver, StatefulField, StepSizes,
};
use support::{
    batch, differentiate, gradients_of, parameters_of, relative_error, set_parameters,
    shift_biases, skip, to_f64, Gradient,
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

neural_ode! {
    #[derive(Clone, Debug)]
    struct Noisy {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 6, tanh), LayerNorm, Dropout(0.3), Append(t), Dense(7 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
    }
}

/// Runs `$test` with a GPU, or says why it cannot.
macro_rules! on_a_gpu {
    (|$cuda:ident| $test:expr) => {
        #[cfg(feature = "cuda")]
        match neuralode::cuda::open(0, 0) {
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

/// A block, a batch to solve from, and a cotangent, with the same numbers on each device.
type Start<const N: usize, E, D, F> = (
    NeuralOde<F>,
    Tensor<(usize, Const<N>), E, D>,
    Tensor<(usize, Const<N>), E, D>,
);

fn start<E: Dtype, D: Device<E>>(
    device: &D,
    options: &SolveOptions,
) -> Start<20, E, D, ClassifierOdeField<E, D>>
where
    ClassifierOdeField<E, D>: TensorField<20, E, D> + BuildModule<D, E>,
{
    let cpu = Cpu::seed_from_u64(3);
    let mut start: ClassifierOdeField<f64, Cpu> = BuildModule::build(&cpu);
    shift_biases(&mut start);
    let mut field: ClassifierOdeField<E, D> = BuildModule::build(device);
    set_parameters(&mut field, &parameters_of(&start));
    (
        NeuralOde::new(field, options.clone()),
        batch::<20, E, D>(device, &numbers(37 * 20, 0.7)),
        batch::<20, E, D>(device, &numbers(37 * 20, 1.3)),
    )
}

fn gradient_on<E: Dtype, D: Device<E>>(device: &D, options: &SolveOptions) -> Gradient
where
    ClassifierOdeField<E, D>: TensorField<20, E, D> + BuildModule<D, E>,
{
    let (block, y0, cotangent) = start::<E, D>(device, options);
    differentiate(&block, &y0, &cotangent).expect("a solve of a smooth field")
}

/// Compares with the processor under each of these options; `kernels` says that no operation of dfdx may solve.
fn assert_equal_gradients<E: Dtype, D: Device<E>>(
    device: &D,
    all: &[SolveOptions],
    kernels: bool,
    bound: f64,
) where
    Cpu: Device<E>,
    ClassifierOdeField<E, D>: TensorField<20, E, D> + BuildModule<D, E>,
    ClassifierOdeField<E, Cpu>: TensorField<20, E, Cpu> + BuildModule<Cpu, E>,
{
    for options in all {
        let found = gradient_on::<E, D>(device, options);
        let expected = gradient_on::<E, Cpu>(&Cpu::default(), options);
        let what = format!(
            "{:?}, {:?}, {:?}, {:?}",
            options.solver, options.controller, options.steps, options.adjoint
        );
        assert_eq!(found.forward, expected.forward, "{what}: steps");
        if kernels {
            assert_eq!(found.backward.vjps, expected.backward.vjps, "{what}");
            // Kernels evaluate stages anew on the way back; operations keep them, as the processor does.
            assert_ne!(found.backward.field_calls, 0, "{what}: not in kernels");
        }
        let errors = [&found, &expected].map(|gradient| gradient.backward.gradient_error);
        let bound = errors[1] * if bound < 1e-6 { 0.02 } else { 0.5 };
        assert!((errors[0] - errors[1]).abs() <= bound, "{what}: {errors:?}");
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
fn operations_solve_and_differentiate_as_the_processor_does() {
    let with_tolerance = |tolerance: f64| {
        let span = SolveOptions::new(0.0, 1.5, tolerance, tolerance);
        let equal = Controller::Constant { dt: 0.1 };
        [
            span.clone(),
            span.clone().with_adjoint(Adjoint::Interpolating),
            span.clone().with_adjoint(Adjoint::Backsolve),
            span.clone().with_solver(Solver::Dopri5),
            span.clone().with_controller(equal).with_solver(Solver::Rk4),
            span.with_span(1.0, -0.5),
        ]
        .map(|options| options.with_backend(Backend::Operations))
    };
    on_a_gpu!(|gpu| {
        assert_equal_gradients::<f64, _>(&gpu, &with_tolerance(1e-8), false, 1e-9);
        assert_equal_gradients::<f32, _>(&gpu, &with_tolerance(1e-3), false, 1e-4);
    });
}

#[test]
fn a_block_is_one_kernel_each_way() {
    let with_tolerance = |tolerance: f64| {
        let span = SolveOptions::new(0.0, 1.5, tolerance, tolerance);
        let equal = Controller::Constant { dt: 0.1 };
        [
            span.clone(),
            span.clone().with_steps(StepSizes::PerSample),
            span.clone().with_controller(Controller::PI),
            span.clone().with_solver(Solver::Dopri5).with_dt0(0.01),
            span.clone().with_solver(Solver::Vern7).with_dt_max(0.2),
            span.clone().with_controller(equal).with_solver(Solver::Rk4),
            span.with_span(1.0, -0.5),
        ]
    };
    let guided = SolveOptions::new(0.0, 1.5, 1e-5, 1e-5).with_control(Control::GRADIENTS);
    let guided = [
        guided.clone(),
        guided.clone().with_steps(StepSizes::PerSample),
    ];
    on_a_gpu!(|gpu| {
        assert_equal_gradients::<f64, _>(&gpu, &with_tolerance(1e-7), true, 1e-9);
        // The tangent is a difference of two numbers close to each other; its rounding error changes the steps a little.
        assert_equal_gradients::<f64, _>(&gpu, &guided, true, 1e-7);
        // Errors far above the rounding noise, which would decide on steps.
        assert_equal_gradients::<f32, _>(&gpu, &with_tolerance(1e-4), true, 1e-4);
    });
}

#[test]
fn a_block_says_in_the_summary_whether_kernels_solve_it() {
    on_a_gpu!(|gpu| {
        let mut model = Classifier::<f64, _>::build(&gpu);
        assert!(model.summary().to_string().contains("backend Kernels"));
        model.ode.options.adjoint = Adjoint::Interpolating;
        assert!(model.summary().to_string().contains("backend Operations"));
    });
}

/// The gradient of a block over steps that suit its solution and are too long for its derivative.
fn doubtful_gradient_on<D: Device<f64>>(
    device: &D,
    options: &SolveOptions,
) -> Result<Gradient, SolveError>
where
    ClassifierOdeField<f64, D>: TensorField<20, f64, D> + BuildModule<D, f64>,
{
    let (mut block, y0, cotangent) = start::<f64, D>(device, options);
    let mut parameters = parameters_of(&block.field);
    for x in parameters.iter_mut().flatten() {
        *x *= 2.0;
    }
    set_parameters(&mut block.field, &parameters);
    differentiate(&block, &y0, &cotangent)
}

#[test]
fn a_block_refuses_a_gradient_that_means_nothing_as_on_the_processor() {
    let options = SolveOptions::new(0.0, 10.0, 1e-3, 1e-3);
    // Allowed, with its error.
    let each = options
        .clone()
        .with_steps(StepSizes::PerSample)
        .with_gradient_error_max(f64::INFINITY);
    on_a_gpu!(|gpu| {
        let found = doubtful_gradient_on(&gpu, &options);
        let expected = doubtful_gradient_on(&Cpu::default(), &options);
        let [found, expected] = [found, expected].map(|gradient| match gradient {
            Err(SolveError::GradientError { error, .. }) => error,
            Err(other) => panic!("{other}"),
            Ok(gradient) => panic!("a gradient with {:?}", gradient.backward),
        });
        let off = (found / expected - 1.0).abs();
        assert!(off < 1e-3, "{found:e} {expected:e}");

        let found = doubtful_gradient_on(&gpu, &each).expect("a gradient");
        let expected = doubtful_gradient_on(&Cpu::default(), &each).expect("a gradient");
        assert!(relative_error(&found.y0_bar, &expected.y0_bar) <= 1e-6);
        // The same samples get a second look.
        let (found, expected) = (found.backward, expected.backward);
        assert_eq!(found.vjps, expected.vjps);
        let off = (found.gradient_error / expected.gradient_error - 1.0).abs();
        assert!(off < 1e-3, "{found:?} {expected:?}");
    });
}

type FrozenField<D> =
    Frozen<NoisyOdeField<f64, D>, <NoisyOdeField<f64, D> as StatefulField<4, f64, D>>::State>;

/// The same with a layer that has state, in inference, where it does nothing.
fn frozen_start<D: Device<f64>>(device: &D) -> Start<4, f64, D, FrozenField<D>>
where
    NoisyOdeField<f64, D>: StatefulField<4, f64, D> + BuildModule<D, f64>,
{
    let mut start: NoisyOdeField<f64, Cpu> = BuildModule::build(&Cpu::seed_from_u64(3));
    shift_biases(&mut start);
    let mut field: NoisyOdeField<f64, D> = BuildModule::build(device);
    set_parameters(&mut field, &parameters_of(&start));
    let state = field.try_initial_state(0).expect("a state");
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6);
    let block = NeuralOde::new(field, options).frozen(&state, Mode::Inference);
    let [y0, c] = [0.7, 1.3].map(|step| batch::<4, f64, D>(device, &numbers(9 * 4, step)));
    (block, y0, c)
}

fn frozen_gradient_on<D: Device<f64>>(device: &D) -> Gradient
where
    NoisyOdeField<f64, D>: StatefulField<4, f64, D> + BuildModule<D, f64>,
{
    let (block, y0, cotangent) = frozen_start(device);
    differentiate(&block, &y0, &cotangent).expect("a solve")
}

#[test]
fn a_block_with_state_is_one_kernel_each_way_in_inference() {
    on_a_gpu!(|gpu| {
        let found = frozen_gradient_on(&gpu);
        let expected = frozen_gradient_on(&Cpu::default());
        assert_eq!(found.forward, expected.forward);
        assert!(found.backward.field_calls > 0, "not in kernels");
        for (found, expected) in [
            (&found.y1, &expected.y1),
            (&found.y0_bar, &expected.y0_bar),
            (&found.theta_bar.concat(), &expected.theta_bar.concat()),
        ] {
            assert!(relative_error(found, expected) <= 1e-9);
        }
    });
}

/// A reference that diffrax computed (`tests/golden/generate.py`).
#[test]
fn a_block_meets_the_reference() {
    let text = include_str!("golden/mlp3_20_10_10_20.json");
    let golden: serde_json::Value = serde_json::from_str(text).expect("a file of the repository");
    let flat = |value: &serde_json::Value| -> Vec<f64> {
        let numbers = value.as_array().expect("an array");
        numbers
            .iter()
            .filter_map(serde_json::Value::as_f64)
            .collect()
    };
    let tensors = |key: &str| -> Vec<Vec<f64>> {
        let tensors = golden[key].as_array().expect("a list of tensors");
        tensors.iter().map(|tensor| flat(&tensor[2])).collect()
    };
    on_a_gpu!(|gpu| {
        let mut field: ClassifierOdeField<f64, _> = BuildModule::build(&gpu);
        set_parameters(&mut field, &tensors("params"));
        let [t0, t1] = ["t0", "t1"].map(|key| golden[key].as_f64().expect("a time"));
        let block = NeuralOde::new(field, SolveOptions::new(t0, t1, 1e-11, 1e-11));
        let [y0, c] = ["y0", "cotangent"].map(|key| batch::<20, f64, _>(&gpu, &flat(&golden[key])));
        let found = differentiate(&block, &y0, &c).expect("a solve");
        for (found, expected) in [
            (&found.y1, flat(&golden["y1"])),
            (&found.y0_bar, flat(&golden["dL_dy0"])),
            (&found.theta_bar.concat(), tensors("dL_dparams").concat()),
        ] {
            assert!(relative_error(found, &expected) <= 1e-9);
        }
    });
}

/// More steps than the first launch has room for.
#[test]
fn a_block_with_many_steps_is_launched_again_with_room_for_them() {
    let many = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3)
        .with_solver(Solver::Midpoint)
        .with_controller(Controller::Constant { dt: 1.0 / 300.0 });
    on_a_gpu!(|gpu| assert_equal_gradients::<f64, _>(&gpu, &[many], true, 1e-9));
}

#[test]
fn a_block_without_a_tape_keeps_no_steps() {
    on_a_gpu!(|gpu| {
        let options = SolveOptions::new(0.0, 1.5, 1e-7, 1e-7);
        let (block, y0, _) = start::<f64, _>(&gpu, &options);
        let (found, stats) = block.try_forward_with_stats(y0).expect("a solve");
        let (block, y0, _) = start::<f64, _>(&Cpu::default(), &options);
        let (expected, expected_stats) = block.try_forward_with_stats(y0).expect("a solve");
        assert_eq!(stats, expected_stats);
        assert!(relative_error(&to_f64(&found.as_vec()), &to_f64(&expected.as_vec())) <= 1e-9);
    });
}

/// What a failure says.
fn text<X>(failure: Result<X, SolveError>) -> String {
    let error = failure.err().map(|error| error.to_string());
    error.expect("a failure")
}

/// What goes wrong on a device, without the numbers that rounding decides.
fn failures_on<D: Device<f64>>(device: &D) -> Vec<String>
where
    ClassifierOdeField<f64, D>: TensorField<20, f64, D> + BuildModule<D, f64>,
{
    let span = SolveOptions::new(0.0, 1.5, 1e-7, 1e-7);
    let mut found = Vec::new();
    for options in [
        span.clone().with_max_steps(3),
        span.clone().with_dt_min(0.5),
        span.clone().with_tolerances(2.0, 1e-7),
        span.clone().with_solver(Solver::Rk4),
        span.clone()
            .with_steps(StepSizes::PerSample)
            .with_max_steps(3),
    ] {
        let (block, y0, _) = start::<f64, D>(device, &options);
        let error = block.try_forward_with_stats(y0.leaky_trace());
        let error = text(error);
        // Up to the first number behind a decimal point.
        found.push(error.split('.').next().unwrap_or_default().to_owned());
    }
    let mut rows = numbers(37 * 20, 0.7);
    rows[5 * 20 + 3] = f64::NAN;
    let (block, _, cotangent) = start::<f64, D>(device, &span);
    let error = block.try_forward_with_stats(batch::<20, f64, D>(device, &rows));
    found.push(text(error));
    let (block, y0, _) = start::<f64, D>(device, &span);
    let broken = batch::<20, f64, D>(device, &rows);
    found.push(text(differentiate(&block, &y0, &broken)));
    let gradients = differentiate(&block, &y0, &cotangent).expect("after a failure");
    assert!(gradients.theta_bar.concat().iter().all(|x| x.is_finite()));
    found
}

#[test]
fn a_block_that_fails_says_why_as_on_the_processor() {
    on_a_gpu!(|gpu| {
        let (found, expected) = (failures_on(&gpu), failures_on(&Cpu::default()));
        println!("{found:#?}");
        assert_eq!(found, expected);
        assert!(found[5].contains(&Quantity::InitialState.to_string()));
    });
}

/// Lets one call of the driver fail after the other in a training step, until all have, with `fail_at` as the number of
/// the one that shall. Returns how many left an error for `take_backward_report`.
fn fail_each_call<const N: usize, D: Device<f64>, F: TensorField<N, f64, D>>(
    (block, y0, cotangent): &Start<N, f64, D, F>,
    fail_at: impl Fn(u32),
    is_left: impl Fn() -> bool,
) -> usize {
    let step = || {
        let (y1, _) = block.try_forward_with_stats(y0.leaky_trace())?;
        let loss = y1.try_mul(cotangent.clone()).map_err(SolveError::device)?;
        let loss = loss.try_sum::<Rank0, _>().map_err(SolveError::device)?;
        let gradients = loss.try_backward().map_err(SolveError::device)?;
        Ok::<_, SolveError>((gradients, take_backward_report()))
    };
    let expected = differentiate(block, y0, cotangent).expect("a solve");
    let mut reported = 0;
    for call in 1.. {
        fail_at(call);
        let outcome = step();
        let all_done = is_left();
        fail_at(0);
        match outcome {
            Ok((gradients, report)) => {
                let mut found = gradients_of(&block.field, &gradients).concat();
                found.extend(to_f64(&gradients.get(y0).as_vec()));
                if let Err(error) = report {
                    assert!(matches!(error, SolveError::Device(_)), "{error}");
                    assert!(found.iter().all(|x| x.is_nan()), "call {call}: {error}");
                    reported += 1;
                } else {
                    let expected = [expected.theta_bar.concat(), expected.y0_bar.clone()];
                    assert!(relative_error(&found, &expected.concat()) <= 1e-12);
                }
            }
            Err(error) => assert!(matches!(error, SolveError::Device(_)), "{error}"),
        }
        if all_done {
            println!("{call} calls, {reported} failed in kernels of the way back");
            break;
        }
    }
    reported
}

/// Only an emulated GPU fails when it is told to.
#[test]
fn a_failing_gpu_leaves_no_gradient_that_looks_right() {
    let Some(file) = std::env::var_os("EMULATED_GPU_FAILS") else {
        return skip("no emulated GPU that fails (scripts/emulated-gpu.sh)");
    };
    let fail_at = |call: u32| std::fs::write(&file, call.to_string()).expect("a writable file");
    let is_left = || std::fs::read_to_string(&file).expect("a file").trim() != "0";
    fail_at(0);
    on_a_gpu!(|gpu| {
        let few = Controller::Constant { dt: 0.5 };
        let options = SolveOptions::new(0.0, 1.0, 1e-7, 1e-7).with_controller(few);
        let plain = start::<f64, _>(&gpu, &options);
        assert!(fail_each_call(&plain, fail_at, is_left) > 0);
        let mut frozen = frozen_start(&gpu);
        frozen.0.options.controller = few;
        assert!(fail_each_call(&frozen, fail_at, is_left) > 0);
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
        let error = neuralode::cuda::open(1000, 0).expect_err("not a thousand GPUs");
        assert!(matches!(error, SolveError::Device(_)), "{error}");
    }
    #[cfg(not(feature = "cuda"))]
    skip("built without the feature `cuda`");
}
