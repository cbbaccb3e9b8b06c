//! The CUDA source of models. Without a GPU: nvcc compiles it, and as plain C++, with threads and shared memory
//! emulated, it takes the steps and gives the numbers of the CPU path. With a GPU: its kernels do.
//!
//! Skips aloud where there is no C++ compiler (`CXX`, else `c++`), no nvcc (on the `PATH`) or no GPU. With
//! `$NEURALODE_GPU_PACK` the programs for a GPU and their problems are written to that folder instead of run:
//! `scripts/gpu.sh` does that.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "numbers that both programs read, and counts"
)]

#[path = "../support/mod.rs"]
mod support;

mod run;

use std::{
    fs,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use neuralode::{
    device::Program, kernel::TileField, prelude::*, tensor::KernelVisitor, Adjoint, Control,
    Controller, FnField, Solve, Solver, Stats, StepSizes,
};

use support::{differentiate, parameters_of, relative_error, skip, Gradient};

use run::{compile, compile_for_a_gpu, hex, input, launch, runs};

macro_rules! models {
    ($($name:ident: $state:tt, $layers:tt;)*) => {$(
        neural_ode! {
            #[derive(Clone, Debug)]
            struct $name {
                input: [$state],
                ode: Ode {
                    field(t, y): $layers,
                    span: 0.0..1.0,
                    solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
                },
            }
        }
    )*};
}

const WIDTH: usize = 6;

models! {
    Tutorial: 20, [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)];
    Linear: 3, [Dense(3 => 3)];
    Narrow: 1, [Dense(1 => 7, tanh), Dense(7 => 1)];
    Waves: 5, [Dense(5 => 9, sin), Dense(9 => 5, sin)];
    Gates: 6, [Dense(6 => 8, sigmoid), Dense(8 => 6, sigmoid)];
    Kinks: 4, [Dense(4 => 8, relu), Dense(8 => 4)];
    Constants: WIDTH, [Dense(_ => 11, tanh), Dense(WIDTH)];
    Timed: 3, [Append(t), Dense(4 => 6, tanh), Append(t), Dense(7 => 3)];
    Skips: 4, [Residual[Dense(4 => 6, tanh), Dense(6 => 4)], tanh, Residual[tanh, Residual[Pow(2)], Dense(4 => 4)]];
    Resized: 3, [Augment(4), Reshape([7, 1]), Flatten, Dense(7 => 5, tanh), Project(4), Dense(4 => 3)];
    Leaks: 4, [Dense(4 => 8, leaky_relu), Dense(8 => 6, elu), leaky_relu, elu, Dense(6 => 4)];
    Bends: 5, [Dense(5 => 6, gelu), silu, gelu, Dense(6 => 5, softplus)];
    Normed: 6, [LayerNorm(epsilon: 1e-3), Dense(6 => 8, silu), Scale, Residual[LayerNorm, softplus], Dense(8 => 6)];
    Images: 6, [Reshape([2, 3]), Scale, Flatten, Dense(6 => 6, elu)];
    Convolved: 36, [
        Reshape([2, 3, 6]), Conv2d(2 => 3, tanh, kernel: 3, padding: 1), Conv2d(3 => 2, silu, kernel: 2, stride: 1),
        Flatten, Dense(20 => 36)
    ];
    Pooled: 30, [
        Reshape([1, 6, 5]), MaxPool2d(kernel: 2, stride: 1), Conv2d(1 => 2, tanh, kernel: 2, stride: 2),
        AvgPool2d(kernel: 2, stride: 1), Conv2d(2 => 3, kernel: 1), GlobalAvgPool, Dense(3 => 30)
    ];
    Wide: 64, [Dense(64 => 96, tanh), Dense(96 => 64)];
}

/// Whose steps are compared.
#[derive(Clone, Copy, PartialEq)]
enum Sizes {
    /// Those of every controller.
    Any,
    /// Those of controllers that see the solution alone: next to a kink the rounding of a tangent decides.
    OfTheSolution,
    /// Equal ones: near a kink the controllers magnify the difference of 1e-12 between their roots step by step.
    Equal,
}

/// What a program for a GPU compares its results with.
fn add_expected(problem: &mut String, tolerance: f64, steps: [f64; 2], expected: &Gradient) {
    let theta_bar = expected.theta_bar.concat();
    let results = [&expected.y1, &expected.y0_bar, &theta_bar];
    let results = results.into_iter().flatten();
    for x in [tolerance].iter().chain(&steps).chain(results) {
        problem.push_str(&hex(*x));
    }
}

/// Runs the program for a GPU on a problem with its expected results, or packs it; says whether there is a GPU.
fn launch_on_a_gpu(binary: &Path, case: &str, problem: &str) -> bool {
    if std::env::var_os("NEURALODE_GPU_PACK").is_some() {
        let words: String = case
            .chars()
            .map(|c| if c.is_alphanumeric() { c } else { '_' })
            .collect();
        let name = binary.file_name().unwrap().to_string_lossy().into_owned();
        fs::write(binary.with_file_name(format!("{name}.{words}.in")), problem).unwrap();
        return true;
    }
    let mut child = Command::new(binary)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that finds no GPU does not read on.
    let _ = child.stdin.take().unwrap().write_all(problem.as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        return false;
    }
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{case}: {said}{wrong}");
    true
}

/// Where the kernels of a program run.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Emulated by threads of the processor.
    Host,
    Gpu,
}

/// Ways to solve, each with threads per block.
fn ways(single: bool) -> Vec<(&'static str, SolveOptions, usize)> {
    let mut ways = plain_ways(single);
    if !single {
        // In f32 the tangent's error is too near to the rounding noise for equal steps.
        let guided = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6)
            .with_adjoint(Adjoint::Discrete)
            .with_control(Control::Gradients { seed: 3 });
        let each = guided.clone().with_steps(StepSizes::PerSample);
        ways.push(("gradients choose steps", guided, 3));
        ways.push(("gradients choose a size for each sample", each, 2));
    }
    ways
}

fn plain_ways(single: bool) -> Vec<(&'static str, SolveOptions, usize)> {
    // Errors far above the rounding noise, which would decide on steps.
    let tol = if single { 1e-4 } else { 1e-6 };
    let adaptive = SolveOptions::new(0.0, 1.0, tol, tol).with_adjoint(Adjoint::Discrete);
    let equal = adaptive
        .clone()
        .with_controller(Controller::Constant { dt: 0.15 });
    let backwards = SolveOptions::new(1.0, -0.5, tol, tol);
    vec![
        ("one size for the batch", adaptive.clone(), 3),
        ("one thread", adaptive.clone(), 1),
        ("PI", adaptive.clone().with_controller(Controller::PI), 2),
        (
            "Dopri5, PID",
            adaptive
                .clone()
                .with_solver(Solver::Dopri5)
                .with_controller(Controller::Pid {
                    p: 0.2,
                    i: 0.4,
                    d: 0.0,
                }),
            2,
        ),
        ("Vern7", adaptive.clone().with_solver(Solver::Vern7), 2),
        (
            "Dopri8, backwards",
            backwards.with_solver(Solver::Dopri8),
            2,
        ),
        ("RK4", equal.clone().with_solver(Solver::Rk4), 2),
        (
            "equal steps far from zero",
            equal
                .clone()
                .with_span(16866.0, 16866.2)
                .with_controller(Controller::Constant { dt: 0.01 }),
            2,
        ),
        (
            "a largest size that does not divide the span",
            adaptive.clone().with_dt_max(0.03).with_dt0(0.03),
            2,
        ),
        ("Euler", equal.with_solver(Solver::Euler), 2),
        (
            "given sizes",
            adaptive
                .clone()
                .with_dt0(0.3)
                .with_dt_max(0.4)
                .with_dt_min(1e-6),
            2,
        ),
        (
            "a size for each sample",
            adaptive.with_steps(StepSizes::PerSample),
            3,
        ),
    ]
}

/// Whether the derivative of a field jumps somewhere.
fn has_kinks<const N: usize, E: Dtype, F: TensorField<N, E, Cpu>>() -> bool
where
    Cpu: Device<E>,
{
    struct Look;
    impl<const N: usize> KernelVisitor<N> for Look {
        type Output = bool;
        fn visit<K: TileField<N>>(self) -> bool {
            K::KINKS
        }
    }
    F::with_kernel(Look).unwrap_or(false)
}

/// Solves of one model both ways, with several options.
fn compare<const N: usize, E: Dtype, F>(
    (name, program): (&str, &Program),
    (sizes, tolerance): (Sizes, f64),
    (place, folder): (Place, &Path),
) where
    F: TensorField<N, E, Cpu> + BuildModule<Cpu, E>,
    Cpu: Device<E>,
{
    let real = if size_of::<E>() == 4 {
        "float"
    } else {
        "double"
    };
    let binary = match place {
        Place::Host => compile(program, name, real, folder),
        Place::Gpu => compile_for_a_gpu(program, name, folder),
    };
    let mut field: F = BuildModule::build(&Cpu::seed_from_u64(7));
    support::shift_biases(&mut field);
    let parameters: Vec<f64> = parameters_of(&field).concat();
    let batch = 7;
    let numbers = |phase: f64| -> Vec<f64> {
        let wave = |i: u32| f64::from((f64::from(i) * 1.7 + phase).sin() as f32);
        (0..u32::try_from(batch * N).unwrap()).map(wave).collect()
    };
    let (y0, c) = (numbers(0.3), numbers(1.1));
    let [y0_tensor, c_tensor] =
        [&y0, &c].map(|rows| support::batch::<N, E, _>(&Cpu::default(), rows));

    for (what, options, threads) in ways(size_of::<E>() == 4) {
        let options = match sizes {
            Sizes::OfTheSolution if options.control != Control::Solution => continue,
            Sizes::Any | Sizes::OfTheSolution => options,
            Sizes::Equal => options.with_controller(Controller::Constant { dt: 0.15 }),
        };
        // A tangent is a difference of two numbers 6e-6 apart: its rounding moves the steps by a part of 1e-5, and what they
        // give by that part of their error.
        let tolerance = match options.control {
            Control::Solution => tolerance,
            _ => tolerance.max(1e-7),
        };
        let mut problem = input(&options, &parameters, (&y0, &c), batch, threads);
        let block = NeuralOde::new(field.clone(), options.clone());
        let expected = differentiate(&block, &y0_tensor, &c_tensor).unwrap();
        let share = if options.steps == StepSizes::PerSample {
            1
        } else {
            batch
        };
        #[allow(clippy::cast_precision_loss, reason = "small counts")]
        let steps =
            [expected.forward.accepted, expected.forward.rejected].map(|n| (n * share) as f64);
        if place == Place::Gpu {
            add_expected(&mut problem, tolerance, steps, &expected);
            if !launch_on_a_gpu(&binary, &format!("{real} {what}"), &problem) {
                return skip("there is no GPU");
            }
            continue;
        }
        let found = launch(&binary, &problem);
        let what = |part: &str| format!("{name}, {real}, {what}: {part}");
        let of_each = |k: usize| found.counts.iter().skip(k).step_by(3).sum::<f64>();
        assert!(of_each(0) == 0.0, "{}", what("status"));
        assert_eq!([of_each(1), of_each(2)], steps, "{}", what("steps"));
        for (part, found, expected) in [
            ("solution", &found.y1, &expected.y1),
            ("dL/dy0", &found.y0_bar, &expected.y0_bar),
            ("dL/dtheta", &found.theta_bar, &expected.theta_bar.concat()),
        ] {
            if !expected.is_empty() {
                let error = relative_error(found, expected);
                assert!(error <= tolerance, "{}: {error:e}", what(part));
            }
        }
        // On the processor a second look evaluates the field; nothing else on the way back does.
        if expected.backward.field_calls == 0 {
            let errors = found.doubts.iter().step_by(2);
            let error = errors.fold(0.0, |worst, error| f64::max(worst, *error));
            let adaptive = !matches!(options.controller, Controller::Constant { .. });
            // What the host makes of it in fields with kinks.
            let factor = if has_kinks::<N, E, F>() { 10.0 } else { 1.0 };
            let error = (factor * error).max(if adaptive { options.rtol } else { 0.0 });
            let known = expected.backward.gradient_error;
            // A sum of products that cancel, and a sixth power of the steps' sizes.
            let bound = known * if size_of::<E>() == 4 { 0.5 } else { 0.02 };
            let off = (error - known).abs();
            assert!(
                off <= bound,
                "{}: {error:e}, not {known:e}",
                what("estimate")
            );
        }
    }
}

macro_rules! compared {
    ($($test:ident: $model:ident, $field:ident, $n:expr, $type:ty, $tile:literal, $sizes:ident, $tolerance:literal;)*) => {
        $(
            #[test]
            fn $test() {
                let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
                if !runs(&compiler) {
                    return skip("there is no C++ compiler");
                }
                let sources = $model::<$type, Cpu>::cuda_source($tile);
                let [("ode", program)] = sources.as_slice() else {
                    panic!("no source");
                };
                let folder = tempfile::tempdir().unwrap();
                compare::<{ $n }, $type, $field<$type, Cpu>>(
                    (stringify!($model), program), (Sizes::$sizes, $tolerance),
                    (Place::Host, folder.path()),
                );
            }
        )*

        #[test]
        fn kernels_on_a_gpu_agree() {
            if !runs("nvcc") {
                return skip("there is no nvcc");
            }
            let pack = std::env::var_os("NEURALODE_GPU_PACK").map(std::path::PathBuf::from);
            $({
                let sources = $model::<$type, Cpu>::cuda_source($tile);
                let [("ode", program)] = sources.as_slice() else {
                    panic!("no source");
                };
                let own = tempfile::tempdir().unwrap();
                let folder = pack.as_deref().unwrap_or(own.path()).join(stringify!($test));
                fs::create_dir_all(&folder).unwrap();
                compare::<{ $n }, $type, $field<$type, Cpu>>(
                    (stringify!($model), program), (Sizes::$sizes, $tolerance),
                    (Place::Gpu, &folder),
                );
            })*
        }
    };
}

compared! {
    the_tutorials_field_agrees_in_f64: Tutorial, TutorialOdeField, 20, f64, 3, Any, 1e-9;
    the_tutorials_field_agrees_in_f32: Tutorial, TutorialOdeField, 20, f32, 4, Any, 1e-4;
    a_linear_field_agrees: Linear, LinearOdeField, 3, f64, 1, Any, 1e-9;
    a_scalar_state_agrees: Narrow, NarrowOdeField, 1, f64, 8, Any, 1e-9;
    sines_agree: Waves, WavesOdeField, 5, f64, 2, Any, 1e-9;
    sigmoids_agree: Gates, GatesOdeField, 6, f64, 2, Any, 1e-9;
    // The error of a step that ends behind a kink says how far behind: it magnifies the difference of 1e-12 between the
    // roots of the two controllers step by step. Both solve to 1e-6.
    relus_agree: Kinks, KinksOdeField, 4, f64, 2, OfTheSolution, 1e-5;
    constant_widths_agree: Constants, ConstantsOdeField, WIDTH, f64, 2, Any, 1e-9;
    fields_that_read_the_time_agree: Timed, TimedOdeField, 3, f64, 2, Any, 1e-9;
    residual_layers_agree: Skips, SkipsOdeField, 4, f64, 2, Any, 1e-9;
    activations_with_kinks_agree: Leaks, LeaksOdeField, 4, f64, 2, Equal, 1e-11;
    smooth_activations_agree: Bends, BendsOdeField, 5, f64, 2, Any, 1e-9;
    normalised_and_scaled_fields_agree: Normed, NormedOdeField, 6, f64, 2, Any, 1e-9;
    scaled_channels_agree: Images, ImagesOdeField, 6, f64, 3, Any, 1e-9;
    convolutions_agree: Convolved, ConvolvedOdeField, 36, f64, 2, Any, 1e-9;
    pools_agree: Pooled, PooledOdeField, 30, f64, 2, Equal, 1e-11;
    changes_of_shape_agree: Resized, ResizedOdeField, 3, f64, 2, Any, 1e-9;
}

/// `dy/dt = rate y` in three numbers, by the device code and by the loop of the host.
#[test]
fn device_code_goes_and_ends_where_the_loop_does_in_hard_places_of_time() {
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".to_owned());
    if !runs(&compiler) {
        return skip("there is no C++ compiler");
    }
    let sources = Linear::<f64, Cpu>::cuda_source(2);
    let [("ode", program)] = sources.as_slice() else {
        panic!("no source");
    };
    let folder = tempfile::tempdir().unwrap();
    let binary = compile(program, "Linear", "double", folder.path());
    let base = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3).with_max_steps(100);
    let equal = |t0, t1, dt| {
        base.clone()
            .with_span(t0, t1)
            .with_controller(Controller::Constant { dt })
    };
    let cases = [
        (-1e4, base.clone()),
        (-1e16, base.clone()),
        (-1e160, base.clone()),
        (-1e160, base.clone().with_span(0.0, 2e-160)),
        (-1e160, base.clone().with_span(0.0, -2e-160)),
        (-1.0, equal(16866.0, 16866.2, 0.01)),
        (-1.0, equal(1e9 + 1e-4, 1e9, 2e-6)),
        (
            -1.0,
            base.clone().with_span(1e9, 1e9 + 1e-4).with_dt_max(2e-6),
        ),
        (0.5, base.clone().with_max_steps(3).with_span(0.0, 1e3)),
    ];
    for (rate, options) in cases {
        let mut parameters = [0.0; 12];
        for i in 0..3 {
            parameters[i * 3 + i] = rate;
        }
        let y0 = [1.0, -0.5, 0.3];
        let found = launch(
            &binary,
            &input(&options, &parameters, (&y0, &[0.0; 3]), 1, 2),
        );
        let mut field = FnField::new(|_, y: &[f64; 3]| y.map(|y| rate * y));
        let mut attempts = 0;
        let solved = Solve::new(&mut field, y0, &options)
            .on_step(|_| {
                attempts += 1;
                core::ops::ControlFlow::Continue(())
            })
            .run();
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-6 * b.abs();
        match solved {
            Ok(solution) => {
                let Stats {
                    accepted, rejected, ..
                } = solution.stats;
                assert_eq!(
                    found.counts,
                    [0.0, accepted as f64, rejected as f64],
                    "{rate:e}"
                );
                assert!(relative_error(&found.y1, &solution.y) < 1e-9, "{rate:e}");
            }
            Err(failure) => {
                let (t, h, decay) = match failure.error {
                    SolveError::Stiff { t, h, decay, .. } => (t, h, Some(decay)),
                    SolveError::MaxSteps { t, h, .. } => (t, h, None),
                    other => panic!("{rate:e}: {other:?}"),
                };
                assert_eq!(found.counts[0], 1.0, "{rate:e}");
                assert!(
                    near(found.ends[0], t) && near(found.ends[1], h),
                    "{rate:e}: {:?}",
                    found.ends
                );
                assert!(
                    decay.is_none_or(|decay| near(found.ends[2], decay)),
                    "{rate:e}: {:?}",
                    found.ends
                );
                assert_eq!(decay.is_some(), rate < -1.0, "{rate:e}");
            }
        }
        assert!(attempts > 0);
    }
    // At rest the solution sees nothing of the decay that holds the steps up; the tangent does.
    let rate = -1e4;
    let parameters: Vec<f64> = (0..12)
        .map(|i| if i % 4 == 0 && i < 9 { rate } else { 0.0 })
        .collect();
    let rest = base.with_control(Control::GRADIENTS);
    let found = launch(
        &binary,
        &input(&rest, &parameters, (&[0.0; 3], &[0.0; 3]), 1, 2),
    );
    let [t, h, decay] = [0, 1, 2].map(|i| found.ends[i]);
    assert_eq!(found.counts[0], 1.0, "no more steps than allowed");
    assert!(
        t < 1.0 && (decay / (-rate * h) - 1.0).abs() < 1e-3,
        "{:?}",
        found.ends
    );
}

#[test]
fn nvcc_compiles_the_programs_of_ten_models() {
    if !runs("nvcc") {
        return skip("there is no nvcc");
    }
    let folder = tempfile::tempdir().unwrap();
    let programs = [
        Tutorial::<f32, Cpu>::cuda_source(1),
        Tutorial::<f64, Cpu>::cuda_source(16),
        Linear::<f32, Cpu>::cuda_source(4),
        Narrow::<f32, Cpu>::cuda_source(4),
        Waves::<f32, Cpu>::cuda_source(4),
        Gates::<f32, Cpu>::cuda_source(4),
        Kinks::<f32, Cpu>::cuda_source(4),
        Constants::<f32, Cpu>::cuda_source(4),
        Timed::<f32, Cpu>::cuda_source(4),
        Skips::<f32, Cpu>::cuda_source(4),
        Resized::<f64, Cpu>::cuda_source(4),
        Leaks::<f32, Cpu>::cuda_source(4),
        Bends::<f32, Cpu>::cuda_source(4),
        Normed::<f64, Cpu>::cuda_source(4),
        Images::<f32, Cpu>::cuda_source(4),
        Convolved::<f32, Cpu>::cuda_source(4),
        Pooled::<f32, Cpu>::cuda_source(4),
        Wide::<f32, Cpu>::cuda_source(32),
    ];
    for (index, program) in programs
        .iter()
        .flatten()
        .map(|(_, program)| program)
        .enumerate()
    {
        let text = folder.path().join(format!("{index}.cu"));
        fs::write(&text, program.text()).unwrap();
        let output = Command::new("nvcc")
            .args([
                "-std=c++17",
                "-arch=sm_90",
                "-cubin",
                "-Werror",
                "all-warnings",
                "-o",
            ])
            .args([folder.path().join(format!("{index}.cubin")), text])
            .output()
            .unwrap();
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{messages}");
    }
}

/// The block of the tutorial's training step: what `scripts/gpu-run.sh` times.
#[test]
fn the_tutorials_training_step_agrees_on_a_gpu() {
    if !runs("nvcc") {
        return skip("there is no nvcc");
    }
    let pack = std::env::var_os("NEURALODE_GPU_PACK").map(std::path::PathBuf::from);
    let own = tempfile::tempdir().unwrap();
    let mut field: TutorialOdeField<f32, Cpu> = BuildModule::build(&Cpu::seed_from_u64(7));
    support::shift_biases(&mut field);
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    let block = NeuralOde::new(field, options.clone());
    let parameters = parameters_of(&block.field).concat();
    for (tile, batch, threads) in [
        (1, 128, 32),
        (2, 128, 32),
        (4, 128, 64),
        (16, 4096, 128),
        (32, 4096, 256),
    ] {
        let sources = Tutorial::<f32, Cpu>::cuda_source(tile);
        let [("ode", program)] = sources.as_slice() else {
            panic!("no source");
        };
        let folder = pack.as_deref().unwrap_or(own.path());
        let folder = folder.join(format!("tutorial_batch_{batch}_tile_{tile}"));
        fs::create_dir_all(&folder).unwrap();
        let binary = compile_for_a_gpu(program, "Tutorial", &folder);
        let numbers = |phase: f64| -> Vec<f64> {
            let wave = |i: u32| f64::from((f64::from(i) * 1.7 + phase).sin() as f32);
            (0..batch * 20).map(wave).collect()
        };
        let (y0, c) = (numbers(0.3), numbers(1.1));
        let [y0_tensor, c_tensor] =
            [&y0, &c].map(|rows| support::batch::<20, f32, _>(&Cpu::default(), rows));
        let expected = differentiate(&block, &y0_tensor, &c_tensor).unwrap();
        let steps = [expected.forward.accepted, expected.forward.rejected];
        let steps = steps.map(|n| f64::from(u32::try_from(n).unwrap() * batch));
        let batch = batch as usize;
        let mut problem = input(&options, &parameters, (&y0, &c), batch, threads);
        add_expected(&mut problem, 1e-3, steps, &expected);
        let case = format!("float batch {batch}, {threads} threads");
        if !launch_on_a_gpu(&binary, &case, &problem) {
            return skip("there is no GPU");
        }
    }
}
