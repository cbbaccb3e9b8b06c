//! Every adjoint against exact sensitivities, finite differences and each other, and its failures.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::excessive_precision,
    clippy::float_cmp,
    reason = "numbers are small and printed as published; equal bits are meant"
)]

#[path = "../support/mod.rs"]
mod support;

use neuralode::{prelude::*, take_backward_report, Adjoint, Backend, Controller};
use rayon::prelude::*;
use support::{
    batch, derivative, differentiate, fields, parameters_of, relative_error, set_parameters,
    shift_biases, ADJOINTS,
};

neural_ode! {
    #[derive(Clone, Debug)]
    struct Mlp {
        input: [4],
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.5,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

type MlpField<E> = MlpOdeField<E, Cpu>;

fn mlp<E: Dtype>(seed: u64) -> MlpField<E>
where
    Cpu: Device<E>,
{
    let dev = Cpu::seed_from_u64(seed);
    let mut field: MlpField<E> = BuildModule::build(&dev);
    shift_biases(&mut field);
    field
}

fn some_batch<E: Dtype, const N: usize>(
    rows: usize,
    phase: f64,
) -> Tensor<(usize, Const<N>), E, Cpu>
where
    Cpu: Device<E>,
{
    let values: Vec<f64> = (0..rows * N)
        .map(|i| (i as f64 * 0.7 + phase).sin())
        .collect();
    batch(&Cpu::default(), &values)
}

/// `y' = M y`, `M = [[0.1, -1], [1, -0.1]]`, `y(0.3) = (0.9, 5.4)`, `L = y_1 + y_2` at 9.5: the values are
/// those of the matrix exponential and its derivative.
#[test]
fn a_linear_system_has_its_exact_sensitivities() {
    let dev = Cpu::default();
    let mut field: fields::Linear2<f64, Cpu> = BuildModule::build(&dev);
    set_parameters(&mut field, &[vec![0.1, -1.0, 1.0, -0.1]]);
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.3, 9.5, 1e-11, 1e-11).with_adjoint(adjoint);
        let block = NeuralOde::new(field.clone(), options);
        let y0 = batch::<2, f64, _>(&dev, &[0.9, 5.4]);
        let ones = batch::<2, f64, _>(&dev, &[1.0, 1.0]);
        let found = differentiate(&block, &y0, &ones).unwrap();
        let y1 = [-2.295_253_432_998_463_2, -5.106_255_145_280_440_1];
        let m = [
            -36.156_025_115_875_49,
            -13.587_414_406_137_06,
            15.281_740_053_315_06,
            -31.937_853_804_290_42,
        ];
        let start = [-0.667_697_539_800_515_5, -1.259_366_813_418_23];
        assert!(relative_error(&found.y1, &y1) < 1e-9, "{adjoint:?}");
        assert!(
            relative_error(&found.theta_bar[0], &m) < 1e-8,
            "{adjoint:?}: {:?}",
            found.theta_bar
        );
        assert!(
            relative_error(&found.y0_bar, &start) < 1e-8,
            "{adjoint:?}: {:?}",
            found.y0_bar
        );
    }
}

/// The loss `sum(c * y1)` with one parameter, or one scalar of `y0`, shifted.
fn shifted_loss(
    block: &NeuralOde<MlpField<f64>>,
    y0: &[f64],
    cotangent: &[f64],
    parameter: Option<(usize, usize)>,
    scalar: Option<usize>,
    shift: f64,
) -> f64 {
    let mut block = block.clone();
    let mut y0 = y0.to_vec();
    if let Some((tensor, index)) = parameter {
        let mut parameters = parameters_of(&block.field);
        parameters[tensor][index] += shift;
        set_parameters(&mut block.field, &parameters);
    }
    if let Some(index) = scalar {
        y0[index] += shift;
    }
    let y1 = block
        .forward(batch::<4, f64, _>(&Cpu::default(), &y0))
        .as_vec();
    y1.iter().zip(cotangent).map(|(y, c)| y * c).sum()
}

fn assert_finite_differences(options: &SolveOptions, tolerance: f64) {
    for backend in [Backend::Kernels, Backend::Operations] {
        assert_finite_differences_of(options.clone().with_backend(backend), tolerance);
    }
}

fn assert_finite_differences_of(options: SolveOptions, tolerance: f64) {
    let block = NeuralOde::new(mlp::<f64>(3), options);
    let (y0, cotangent) = (some_batch::<f64, 4>(3, 0.2), some_batch::<f64, 4>(3, 1.1));
    let found = differentiate(&block, &y0, &cotangent).unwrap();
    let (y0, cotangent) = (y0.as_vec(), cotangent.as_vec());
    for (tensor, gradient) in found.theta_bar.iter().enumerate() {
        let expected: Vec<f64> = (0..gradient.len())
            .map(|index| {
                derivative(|d| {
                    shifted_loss(&block, &y0, &cotangent, Some((tensor, index)), None, d)
                })
            })
            .collect();
        let error = relative_error(gradient, &expected);
        assert!(error < tolerance, "parameter {tensor}: {error:e}");
    }
    let expected: Vec<f64> = (0..y0.len())
        .map(|index| derivative(|d| shifted_loss(&block, &y0, &cotangent, None, Some(index), d)))
        .collect();
    let error = relative_error(&found.y0_bar, &expected);
    assert!(error < tolerance, "y0: {error:e}");
}

#[test]
fn the_discrete_adjoint_is_the_derivative_of_frozen_steps_however_coarse() {
    let options = SolveOptions::new(0.0, 1.5, 1e-3, 1e-3)
        .with_controller(Controller::Constant { dt: 0.4 })
        .with_adjoint(Adjoint::Discrete);
    assert_finite_differences(&options, 1e-8);
}

#[test]
fn the_discrete_adjoint_is_the_derivative_of_frozen_steps_backwards_in_time() {
    let options = SolveOptions::new(1.0, -0.5, 1e-3, 1e-3)
        .with_controller(Controller::Constant { dt: 0.25 })
        .with_adjoint(Adjoint::Discrete);
    assert_finite_differences(&options, 1e-8);
}

#[test]
fn every_adjoint_agrees_with_finite_differences_through_the_controller_at_tight_tolerances() {
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.0, 1.5, 1e-12, 1e-12).with_adjoint(adjoint);
        assert_finite_differences(&options, 1e-8);
    }
}

#[test]
fn every_adjoint_approaches_the_discrete_one_with_the_tolerance() {
    let (y0, cotangent) = (some_batch::<f64, 4>(5, 0.2), some_batch::<f64, 4>(5, 1.1));
    for adjoint in ADJOINTS {
        let mut previous = f64::INFINITY;
        for tolerance in [1e-3, 1e-5, 1e-7, 1e-9, 1e-11] {
            let [a, b] = [Adjoint::Discrete, adjoint].map(|adjoint| {
                let options =
                    SolveOptions::new(0.0, 1.5, tolerance, tolerance).with_adjoint(adjoint);
                differentiate(&NeuralOde::new(mlp::<f64>(3), options), &y0, &cotangent).unwrap()
            });
            let mut gap = relative_error(&a.y0_bar, &b.y0_bar);
            for (a, b) in a.theta_bar.iter().zip(&b.theta_bar) {
                gap = gap.max(relative_error(a, b));
            }
            println!("{adjoint:?} {tolerance:e}: {gap:e}");
            if matches!(adjoint, Adjoint::Discrete | Adjoint::Checkpointed { .. }) {
                assert_eq!((a.y0_bar, a.theta_bar), (b.y0_bar, b.theta_bar));
                continue;
            }
            assert!(
                gap <= 100.0 * tolerance && gap < previous,
                "{adjoint:?}, {tolerance:e}: {gap:e}"
            );
            previous = gap;
        }
    }
}

#[test]
fn the_gradient_of_equal_steps_converges_with_order_five() {
    let (y0, cotangent) = (some_batch::<f64, 4>(2, 0.2), some_batch::<f64, 4>(2, 1.1));
    let gradient = |options| {
        let block = NeuralOde::new(mlp::<f64>(3), options);
        let found = differentiate(&block, &y0, &cotangent).unwrap();
        [found.y0_bar, found.theta_bar.concat()].concat()
    };
    let exact = gradient(SolveOptions::new(0.0, 3.0, 1e-13, 1e-13));
    let errors = [0.3, 0.15, 0.075].map(|dt| {
        let options =
            SolveOptions::new(0.0, 3.0, 1e-3, 1e-3).with_controller(Controller::Constant { dt });
        relative_error(&gradient(options), &exact)
    });
    let orders = [
        (errors[0] / errors[1]).log2(),
        (errors[1] / errors[2]).log2(),
    ];
    assert!(
        orders.iter().all(|order| *order > 4.5),
        "{orders:?} {errors:?}"
    );
}

#[test]
fn an_mlp_has_its_published_gradient() {
    neural_ode! {
        struct Tiny {
            input: [2],
            ode: Ode {
                field(t, y): [Dense(2 => 3, tanh), Dense(3 => 2, tanh)],
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-11, atol: 1e-11 },
            },
        }
    }
    let w1: Vec<f64> = (0..6)
        .map(|k| f64::cos(f64::from(k / 2) + 2.0 * f64::from(k % 2)))
        .collect();
    let w2: Vec<f64> = (0..6)
        .map(|k| f64::sin(1.0 + f64::from(k / 3) + 2.0 * f64::from(k % 3)))
        .collect();
    let parameters = [w1, vec![0.0, 0.1, 0.2], w2, vec![-0.2, -0.1]];
    for adjoint in ADJOINTS {
        let mut model = Tiny::<f64, Cpu>::build(&Cpu::default());
        set_parameters(&mut model, &parameters);
        model.ode.options.adjoint = adjoint;
        let y0 = batch::<2, f64, _>(&Cpu::default(), &[0.5, -1.0]);
        let y1 = model.try_forward(y0.leaky_trace()).unwrap();
        assert!(
            relative_error(
                &y1.as_vec(),
                &[0.447_971_529_475_382_7, -1.276_394_223_427_161]
            ) < 1e-10
        );
        let loss = y1.square().sum::<Rank0, _>() * 0.5;
        assert!((loss.array() - 0.914_930_352_409_369_3).abs() < 1e-10);
        let (gradients, _) = try_backward(loss).unwrap();
        let found = support::gradients_of(&model, &gradients);
        let expected = [
            vec![
                -0.175_381_708_1,
                0.408_494_379_2,
                0.085_408_237_17,
                -0.198_859_971_6,
                0.007_923_985_638,
                -0.013_224_919_05,
            ],
            vec![-0.363_155_084_7, 0.176_825_239_4, 0.015_033_038_97],
            vec![
                0.241_728_699,
                0.294_171_211_7,
                0.207_221_769_4,
                -0.878_200_314_6,
                -1.067_804_111,
                -0.744_592_855_3,
            ],
            vec![0.325_257_642_7, -1.185_014_946],
        ];
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                relative_error(found, expected) < 1e-8,
                "{adjoint:?}: {found:?}"
            );
        }
        let y0_bar = gradients.get(&y0).as_vec();
        assert!(relative_error(&y0_bar, &[0.174_099_577_741, -1.310_150_293_97]) < 1e-8);
    }
}

#[test]
fn gradients_in_f32_follow_those_in_f64() {
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.0, 1.5, 1e-6, 1e-6).with_adjoint(adjoint);
        let single = differentiate(
            &NeuralOde::new(mlp::<f32>(3), options.clone()),
            &some_batch::<f32, 4>(3, 0.2),
            &some_batch::<f32, 4>(3, 1.1),
        );
        let double = differentiate(
            &NeuralOde::new(mlp::<f64>(3), options),
            &some_batch::<f64, 4>(3, 0.2),
            &some_batch::<f64, 4>(3, 1.1),
        );
        let (single, double) = (single.unwrap(), double.unwrap());
        assert!(relative_error(&single.y0_bar, &double.y0_bar) < 1e-5);
        for (single, double) in single.theta_bar.iter().zip(&double.theta_bar) {
            assert!(relative_error(single, double) < 1e-5, "{adjoint:?}");
        }
    }
}

#[test]
fn gradients_flow_through_layers_on_both_sides_and_accumulate_in_shared_parameters() {
    // The same block twice in one loss: its parameters' gradients are the sum of both uses.
    let options = SolveOptions::new(0.0, 0.5, 1e-10, 1e-10);
    for adjoint in ADJOINTS {
        let half = NeuralOde::new(mlp::<f64>(3), options.clone().with_adjoint(adjoint));
        let mut whole = half.clone();
        whole.options.t1 = 1.0;
        let (y0, cotangent) = (some_batch::<f64, 4>(3, 0.2), some_batch::<f64, 4>(3, 1.1));
        let y = half.try_forward(y0.leaky_trace()).unwrap();
        let y = half.try_forward(y).unwrap();
        let (gradients, stats) = try_backward((y * cotangent.clone()).sum::<Rank0, _>()).unwrap();
        let expected = differentiate(&whole, &y0, &cotangent).unwrap();
        assert!(relative_error(&gradients.get(&y0).as_vec(), &expected.y0_bar) < 1e-8);
        let found = support::gradients_of(&half.field, &gradients);
        for (found, expected) in found.iter().zip(&expected.theta_bar) {
            assert!(relative_error(found, expected) < 1e-8, "{adjoint:?}");
        }
        assert!(stats.vjps > 0);
    }
}

#[test]
fn gradients_add_to_those_that_were_there() {
    let block = NeuralOde::new(mlp::<f64>(3), SolveOptions::default());
    let (y0, cotangent) = (some_batch::<f64, 4>(3, 0.2), some_batch::<f64, 4>(3, 1.1));
    let once = differentiate(&block, &y0, &cotangent).unwrap();
    let mut gradients = block.alloc_grads();
    for _ in 0..2 {
        let y1 = block.try_forward(y0.trace(gradients)).unwrap();
        gradients = try_backward((y1 * cotangent.clone()).sum::<Rank0, _>())
            .unwrap()
            .0;
    }
    let twice = support::gradients_of(&block.field, &gradients);
    for (once, twice) in once.theta_bar.iter().zip(&twice) {
        let doubled: Vec<f64> = once.iter().map(|x| 2.0 * x).collect();
        assert!(relative_error(twice, &doubled) < 1e-14);
    }
}

#[test]
fn the_statistics_say_what_the_adjoints_cost() {
    let (y0, cotangent) = (some_batch::<f64, 4>(3, 0.2), some_batch::<f64, 4>(3, 1.1));
    for tolerance in [1e-3, 1e-7] {
        let gradient = |adjoint| {
            let options = SolveOptions::new(0.0, 1.5, tolerance, tolerance).with_adjoint(adjoint);
            differentiate(&NeuralOde::new(mlp::<f64>(3), options), &y0, &cotangent).unwrap()
        };
        let discrete = gradient(Adjoint::Discrete);
        assert_eq!(discrete.backward.vjps, 6 * discrete.forward.accepted);
        assert_eq!(
            (discrete.backward.accepted, discrete.backward.field_calls),
            (0, 0)
        );
        let steps = |stats: Stats| stats.accepted + stats.rejected;
        let interpolating = gradient(Adjoint::Interpolating);
        assert_eq!(
            interpolating.backward.vjps,
            2 + 6 * steps(interpolating.backward)
        );
        let gauss = gradient(Adjoint::Gauss);
        // Gauss cuts no step of these into pieces.
        let nodes = if tolerance < 1e-5 { 15 } else { 7 };
        assert_eq!(
            gauss.backward.vjps,
            2 + 6 * steps(gauss.backward) + nodes * gauss.backward.accepted
        );
        let quadrature = gradient(Adjoint::Quadrature);
        let of_pieces = quadrature.backward.vjps - 2 - 6 * steps(quadrature.backward);
        assert!(of_pieces.is_multiple_of(15) && of_pieces > 0);
        assert_eq!(
            steps(quadrature.backward),
            steps(gauss.backward),
            "both solve for the same lambda"
        );
        for stats in [interpolating.backward, gauss.backward, quadrature.backward] {
            assert_eq!(stats.field_calls, 0);
        }
        let backsolve = gradient(Adjoint::Backsolve);
        assert_eq!(backsolve.backward.vjps, 2 + 6 * steps(backsolve.backward));
        assert_eq!(backsolve.backward.field_calls, backsolve.backward.vjps);
        let checkpointed = gradient(Adjoint::Checkpointed { bytes: 1_000_000 });
        // Every step is done again, all in one window: its first stage, and six per step.
        let mut expected = discrete.backward;
        expected.field_calls = 1 + 6 * discrete.forward.accepted;
        assert_eq!(checkpointed.backward, expected);
        for other in [interpolating, gauss, quadrature, backsolve, checkpointed] {
            assert_eq!(other.forward, discrete.forward);
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bits() {
    for adjoint in ADJOINTS {
        let block = NeuralOde::new(mlp::<f32>(3), SolveOptions::default().with_adjoint(adjoint));
        let (y0, cotangent) = (some_batch::<f32, 4>(33, 0.2), some_batch::<f32, 4>(33, 1.1));
        let a = differentiate(&block, &y0, &cotangent).unwrap();
        let b = differentiate(&block, &y0, &cotangent).unwrap();
        assert_eq!((a.y1, a.y0_bar, a.theta_bar), (b.y1, b.y0_bar, b.theta_bar));
    }
}

#[test]
fn an_empty_span_passes_gradients_through() {
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(1.0, 1.0, 1e-3, 1e-3).with_adjoint(adjoint);
        let block = NeuralOde::new(mlp::<f64>(3), options);
        let (y0, cotangent) = (some_batch::<f64, 4>(3, 0.2), some_batch::<f64, 4>(3, 1.1));
        let y1 = block.try_forward(y0.leaky_trace()).unwrap();
        assert_eq!(y1.as_vec(), y0.as_vec());
        let (gradients, _) = try_backward((y1 * cotangent.clone()).sum::<Rank0, _>()).unwrap();
        assert_eq!(gradients.get(&y0).as_vec(), cotangent.as_vec());
    }
}

#[test]
fn a_broadcast_input_is_solved_like_its_copy() {
    let block = NeuralOde::new(mlp::<f64>(3), SolveOptions::default());
    let row: Tensor<Rank1<4>, f64, Cpu> = Cpu::default().tensor([0.1, 0.2, 0.3, 0.4]);
    let broadcast = row.leaky_trace().broadcast_like(&(3_usize, Const::<4>));
    let y1 = block.try_forward(broadcast).unwrap();
    let copied = batch::<4, f64, _>(&Cpu::default(), &[0.1, 0.2, 0.3, 0.4].repeat(3));
    let expected = differentiate(&block, &copied, &some_batch(3, 1.1)).unwrap();
    assert_eq!(y1.as_vec(), expected.y1);
    let (gradients, _) = try_backward((y1 * some_batch(3, 1.1)).sum::<Rank0, _>()).unwrap();
    let summed: Vec<f64> = (0..4)
        .map(|i| (0..3).map(|row| expected.y0_bar[4 * row + i]).sum())
        .collect();
    assert!(relative_error(&gradients.get(&row).as_vec(), &summed) < 1e-12);
}

/// A backward solve that cannot finish: one step forward, more than one back.
fn failing_block(backend: Backend) -> NeuralOde<MlpField<f64>> {
    let mut options = SolveOptions::new(0.0, 1e-3, 1e-12, 1e-12)
        .with_adjoint(Adjoint::Interpolating)
        .with_backend(backend)
        .with_max_steps(1);
    options.dt0 = Some(1e-3);
    NeuralOde::new(mlp::<f64>(3), options)
}

#[test]
fn a_failing_backward_solve_is_a_typed_error() {
    for backend in [Backend::Kernels, Backend::Operations] {
        let block = failing_block(backend);
        let y0 = some_batch::<f64, 4>(3, 0.2);
        let y1 = block.try_forward(y0.leaky_trace()).unwrap();
        let loss = (y1 * 1e9).sum::<Rank0, _>();
        let error = try_backward(loss).unwrap_err();
        assert!(matches!(error, SolveError::MaxSteps { .. }), "{error:?}");
        // The next pass on this thread starts afresh.
        let ok = differentiate(
            &NeuralOde::new(mlp::<f64>(3), SolveOptions::default()),
            &y0,
            &some_batch(3, 1.1),
        );
        assert!(ok.is_ok());
    }
}

#[test]
fn a_failing_backward_solve_under_dfdxs_own_backward_gives_nan_and_a_report() {
    for backend in [Backend::Kernels, Backend::Operations] {
        let block = failing_block(backend);
        let y0 = some_batch::<f64, 4>(3, 0.2);
        let y1 = block.try_forward(y0.leaky_trace()).unwrap();
        let gradients = (y1 * 1e9).sum::<Rank0, _>().backward();
        assert!(gradients.get(&y0).as_vec().iter().all(|x| x.is_nan()));
        for gradient in support::gradients_of(&block.field, &gradients) {
            assert!(gradient.iter().all(|x| x.is_nan()));
        }
        assert!(matches!(
            take_backward_report(),
            Err(SolveError::MaxSteps { .. })
        ));
        assert!(take_backward_report().is_ok(), "a report is taken once");
    }
}

#[test]
fn a_loss_that_is_nan_is_a_typed_error_of_the_backward_pass() {
    for adjoint in ADJOINTS {
        let block = NeuralOde::new(mlp::<f64>(3), SolveOptions::default().with_adjoint(adjoint));
        let y1 = block
            .try_forward(some_batch::<f64, 4>(3, 0.2).leaky_trace())
            .unwrap();
        let error = try_backward((y1 * f64::NAN).sum::<Rank0, _>()).unwrap_err();
        let SolveError::NonFinite {
            quantity, sample, ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(quantity, neuralode::ode::error::Quantity::Cotangent);
        assert_eq!(sample, Some(0));
    }
}

#[test]
fn a_chain_of_small_solves_has_the_bits_of_each_alone_whichever_thread_helps() {
    // Enough work for a second thread only if that is awake (`awake.rs`), as it is from the third solve on.
    let solves = |threads, count| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let block = NeuralOde::new(mlp::<f32>(1), SolveOptions::new(0.0, 1.5, 1e-4, 1e-4));
            let (y0, c) = (some_batch(256, 0.0), some_batch(256, 1.0));
            let solve = |_| {
                let found = differentiate(&block, &y0, &c).unwrap();
                (found.y1, found.y0_bar, found.theta_bar)
            };
            (0..count).map(solve).collect::<Vec<_>>()
        })
    };
    let alone = &solves(1, 1)[0];
    assert!(solves(2, 500).iter().all(|found| found == alone));
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Lifted {
        input: [256],
        lift: Dense(256, tanh),
        down: Dense(4),
        ode: Ode {
            field(t, y): [Dense(4 => 8, tanh), Dense(8 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

/// A thread that waits for a shared piece of the large layer runs a sibling's pass in the meantime.
#[test]
fn passes_that_share_a_pool_each_have_their_own_outcome() {
    let model = Lifted::<f32, Cpu>::build(&Cpu::seed_from_u64(3));
    let pass = |index: usize| {
        let rows: Vec<f32> = (0..1000 * 256)
            .map(|i| ((i * 7 + index) as f32).sin())
            .collect();
        let x = Cpu::default().tensor_from_vec(rows, (1000, Const::<256>));
        let y = model.try_forward(x.leaky_trace()).unwrap();
        let factor = if index.is_multiple_of(2) {
            1.0
        } else {
            f32::NAN
        };
        try_backward((y * factor).sum::<Rank0, _>()).map(|(_, stats)| stats)
    };
    let alone = pass(0).unwrap();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build();
    let outcomes: Vec<_> = pool.unwrap().install(|| {
        let all = (0..32_usize).into_par_iter().with_max_len(1);
        all.map(|i| (i, pass(i % 2))).collect()
    });
    for (i, outcome) in outcomes {
        match outcome {
            Ok(stats) => assert!(i % 2 == 0 && stats == alone, "pass {i}: {stats:?}"),
            Err(error) => assert!(
                i % 2 == 1 && matches!(error, SolveError::NonFinite { .. }),
                "pass {i}: {error}"
            ),
        }
    }
}
