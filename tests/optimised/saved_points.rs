//! Solutions at given times: their values, their gradients under every adjoint and both VJPs, and bad times.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::float_cmp,
    reason = "numbers are small; equal bits are meant"
)]

#[path = "../support/mod.rs"]
mod support;

use neuralode::{
    engine::{HostEngine, Tiles},
    kernel::{field::Generated, TileField},
    ode::{
        adjoint::{Cotangent, WalkBack},
        error::Quantity,
        field::Differentiable,
        method::TSIT5,
        output::saved_points::solve_at,
        state::State,
        trajectory::Trajectory,
    },
    prelude::*,
    tensor::KernelVisitor,
    Adjoint, Backend, Controller,
};
use support::{
    batch, gradients_of, parameters_of, relative_error, set_parameters, shift_biases, to_f64,
    ADJOINTS,
};

const VJPS: [Backend; 2] = [Backend::Kernels, Backend::Operations];

neural_ode! {
    #[derive(Clone, Debug)]
    struct Affine {
        input: [2],
        ode: Ode {
            field(t, y): Dense(2 => 2),
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

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

fn mlp<E: Dtype>() -> MlpField<E>
where
    Cpu: Device<E>,
{
    let mut field: MlpField<E> = BuildModule::build(&Cpu::seed_from_u64(3));
    shift_biases(&mut field);
    field
}

fn waves(count: usize, phase: f64) -> Vec<f64> {
    (0..count).map(|i| (i as f64 * 0.7 + phase).sin()).collect()
}

/// The solution at some times, and the gradient of `sum(c * y)` over all of them.
struct Found {
    ys: Vec<f64>,
    y0_bar: Vec<f64>,
    theta_bar: Vec<Vec<f64>>,
    forward: Stats,
    backward: Stats,
}

fn differentiate_at<const N: usize, E: Dtype, F: TensorField<N, E, Cpu>>(
    block: &NeuralOde<F>,
    y0: &[f64],
    times: &[f64],
    cotangent: &[f64],
) -> Result<Found, SolveError>
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let y0 = batch::<N, E, _>(&dev, y0);
    let (ys, forward) = block.try_forward_at(y0.leaky_trace(), times)?;
    assert_eq!(*ys.shape(), (times.len(), y0.shape().0, Const));
    let values = to_f64(&ys.as_vec());
    let cotangent: Vec<E> = cotangent.iter().map(|x| E::from_f64(*x).unwrap()).collect();
    let cotangent = dev.tensor_from_vec(cotangent, *ys.shape());
    let (gradients, backward) = try_backward((ys * cotangent).sum::<Rank0, _>())?;
    Ok(Found {
        ys: values,
        y0_bar: to_f64(&gradients.get(&y0).as_vec()),
        theta_bar: gradients_of(&block.field, &gradients),
        forward,
        backward,
    })
}

/// `y' = M y` with `M^2 = -0.99`.
mod linear {
    pub(crate) const M: [f64; 4] = [0.1, -1.0, 1.0, -0.1];
    pub(crate) const TRANSPOSED: [f64; 4] = [0.1, 1.0, -1.0, -0.1];

    /// `exp(t m) y`, for `m` with that square.
    pub(crate) fn flow(m: [f64; 4], t: f64, y: [f64; 2]) -> [f64; 2] {
        let w = 0.99_f64.sqrt();
        let (c, s) = ((w * t).cos(), (w * t).sin() / w);
        [
            c * y[0] + s * (m[0] * y[0] + m[1] * y[1]),
            c * y[1] + s * (m[2] * y[0] + m[3] * y[1]),
        ]
    }

    /// The gradients of `sum_k c_k . y(t_k)`: those of `y0`, of the weights and of the biases (at zero).
    pub(crate) fn gradient(
        y0: [f64; 2],
        t0: f64,
        times: &[f64],
        cotangents: &[f64],
    ) -> [Vec<f64>; 3] {
        let (mut start, mut weight, mut bias) = (vec![0.0; 2], vec![0.0; 4], vec![0.0; 2]);
        for (t, c) in times.iter().zip(cotangents.chunks_exact(2)) {
            let lambda = |s: f64| flow(TRANSPOSED, t - s, [c[0], c[1]]);
            let l0 = lambda(t0);
            start[0] += l0[0];
            start[1] += l0[1];
            // Simpson's rule.
            let intervals = 2000;
            let h = (t - t0) / f64::from(intervals);
            for i in 0..=intervals {
                let s = t0 + h * f64::from(i);
                let w = match i {
                    0 => 1.0,
                    i if i == intervals => 1.0,
                    i if i % 2 == 1 => 4.0,
                    _ => 2.0,
                } * h
                    / 3.0;
                let (l, y) = (lambda(s), flow(M, s - t0, y0));
                for o in 0..2 {
                    bias[o] += w * l[o];
                    for i in 0..2 {
                        weight[2 * o + i] += w * l[o] * y[i];
                    }
                }
            }
        }
        [start, weight, bias]
    }
}

fn affine() -> AffineOdeField<f64, Cpu> {
    let mut field: AffineOdeField<f64, Cpu> = BuildModule::build(&Cpu::default());
    set_parameters(&mut field, &[linear::M.to_vec(), vec![0.0; 2]]);
    field
}

#[test]
fn saved_points_converge_to_the_exact_solution_with_the_order_of_the_interpolant() {
    let y0 = [0.9, 5.4];
    let times = [0.37, 0.5, 1.01, 1.93, 2.71, 2.999];
    let exact: Vec<f64> = times
        .iter()
        .flat_map(|t| linear::flow(linear::M, *t, y0))
        .collect();
    for backend in VJPS {
        let errors = [0.5, 0.25, 0.125].map(|dt| {
            let options = SolveOptions::new(0.0, 3.0, 1e-3, 1e-3)
                .with_controller(Controller::Constant { dt })
                .with_backend(backend);
            let block = NeuralOde::new(affine(), options);
            let y0 = batch::<2, f64, _>(&Cpu::default(), &y0);
            let (ys, _) = block.try_forward_at(y0, &times).unwrap();
            relative_error(&ys.as_vec(), &exact)
        });
        let orders = [errors[0] / errors[1], errors[1] / errors[2]].map(f64::log2);
        let expected = TSIT5.dense_order as f64;
        assert!(
            orders.iter().all(|order| *order > expected),
            "{backend:?}: {orders:?} {errors:?}"
        );
    }
}

#[test]
fn gradients_through_saved_points_of_a_linear_system_are_its_exact_sensitivities() {
    let y0 = [0.9, 5.4];
    let forwards = [0.3, 0.3, 0.9, 1.5, 1.5, 4.7, 9.5];
    let without_ends = [0.4, 3.3, 9.4];
    let backwards = [2.0, 1.4, 1.4, 0.1, -3.0];
    let cases: [(f64, f64, &[f64]); 3] = [
        (0.3, 9.5, &forwards),
        (0.3, 9.5, &without_ends),
        (2.0, -3.0, &backwards),
    ];
    for (t0, t1, times) in cases {
        let cotangent = waves(2 * times.len(), 0.4);
        let [start, weight, bias] = linear::gradient(y0, t0, times, &cotangent);
        let exact: Vec<f64> = times
            .iter()
            .flat_map(|t| linear::flow(linear::M, t - t0, y0))
            .collect();
        for (adjoint, backend) in ADJOINTS.into_iter().flat_map(|a| VJPS.map(|v| (a, v))) {
            let options = SolveOptions::new(t0, t1, 1e-11, 1e-11)
                .with_adjoint(adjoint)
                .with_backend(backend);
            let block = NeuralOde::new(affine(), options);
            let found = differentiate_at::<2, f64, _>(&block, &y0, times, &cotangent).unwrap();
            let errors = [
                relative_error(&found.ys, &exact),
                relative_error(&found.y0_bar, &start),
                relative_error(&found.theta_bar[0], &weight),
                relative_error(&found.theta_bar[1], &bias),
            ];
            assert!(
                errors.iter().all(|error| *error < 1e-8),
                "{adjoint:?}, {backend:?}, {t0}..{t1}: {errors:?}"
            );
        }
    }
}

/// The loss `sum(c * y)` over saved points, with one number of the parameters or of `y0` shifted.
fn shifted_loss(
    block: &NeuralOde<MlpField<f64>>,
    y0: &[f64],
    times: &[f64],
    cotangent: &[f64],
    place: (usize, usize),
    shift: f64,
) -> f64 {
    let mut block = block.clone();
    let mut y0 = y0.to_vec();
    let mut parameters = parameters_of(&block.field);
    match parameters.get_mut(place.0) {
        Some(parameter) => parameter[place.1] += shift,
        None => y0[place.1] += shift,
    }
    set_parameters(&mut block.field, &parameters);
    let y0 = batch::<4, f64, _>(&Cpu::default(), &y0);
    let (ys, _) = block.try_forward_at(y0, times).unwrap();
    ys.as_vec().iter().zip(cotangent).map(|(y, c)| y * c).sum()
}

fn assert_finite_differences(options: &SolveOptions, times: &[f64]) {
    let (y0, cotangent) = (waves(12, 0.2), waves(12 * times.len(), 1.1));
    for backend in VJPS {
        let block = NeuralOde::new(mlp::<f64>(), options.clone().with_backend(backend));
        let found = differentiate_at::<4, f64, _>(&block, &y0, times, &cotangent).unwrap();
        let mut gradients = found.theta_bar;
        gradients.push(found.y0_bar);
        for (tensor, gradient) in gradients.iter().enumerate() {
            let expected: Vec<f64> = (0..gradient.len())
                .map(|index| {
                    support::derivative(|d| {
                        shifted_loss(&block, &y0, times, &cotangent, (tensor, index), d)
                    })
                })
                .collect();
            let error = relative_error(gradient, &expected);
            assert!(
                error < 1e-8,
                "{:?}, {backend:?}, tensor {tensor}: {error:e}",
                options.adjoint
            );
        }
    }
}

#[test]
fn the_discrete_adjoint_is_the_derivative_of_the_interpolant_of_frozen_steps_however_coarse() {
    let options =
        SolveOptions::new(0.0, 1.5, 1e-3, 1e-3).with_controller(Controller::Constant { dt: 0.4 });
    // Ends of the span, ends of steps, several inside one step, none in another, repeated ones.
    assert_finite_differences(
        &options,
        &[0.0, 0.1, 0.3, 0.3, 0.4, 0.8, 1.3, 1.4, 1.5, 1.5],
    );
    assert_finite_differences(&options, &[0.0, 0.7]);
    assert_finite_differences(&options, &[0.0]);
}

#[test]
fn the_discrete_adjoint_is_the_derivative_of_the_interpolant_backwards_in_time() {
    let options =
        SolveOptions::new(1.0, -0.5, 1e-3, 1e-3).with_controller(Controller::Constant { dt: 0.25 });
    assert_finite_differences(&options, &[1.0, 0.9, 0.6, 0.5, 0.1, -0.5]);
}

#[test]
fn every_adjoint_agrees_with_finite_differences_through_the_controller_at_tight_tolerances() {
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.0, 1.5, 1e-12, 1e-12).with_adjoint(adjoint);
        assert_finite_differences(&options, &[0.0, 0.2, 0.77, 1.5]);
    }
}

fn assert_the_end_alone_is_the_plain_solve<E: Dtype>()
where
    Cpu: Device<E>,
{
    for (adjoint, backend) in ADJOINTS.into_iter().flat_map(|a| VJPS.map(|v| (a, v))) {
        let options = SolveOptions::new(0.0, 1.5, 1e-5, 1e-5)
            .with_adjoint(adjoint)
            .with_backend(backend);
        let block = NeuralOde::new(mlp::<E>(), options);
        let (y0, cotangent) = (waves(20, 0.2), waves(20, 1.1));
        let dev = Cpu::default();
        let plain = support::differentiate::<4, E, _, _>(
            &block,
            &batch(&dev, &y0),
            &batch(&dev, &cotangent),
        )
        .unwrap();
        let saved = differentiate_at::<4, E, _>(&block, &y0, &[1.5], &cotangent).unwrap();
        assert_eq!(plain.y1, saved.ys);
        assert_eq!(plain.y0_bar, saved.y0_bar);
        assert_eq!(plain.theta_bar, saved.theta_bar);
        assert_eq!(plain.forward, saved.forward);
        assert_eq!(plain.backward, saved.backward);
    }
}

#[test]
fn saving_the_end_alone_is_the_plain_solve_bit_for_bit() {
    assert_the_end_alone_is_the_plain_solve::<f32>();
    assert_the_end_alone_is_the_plain_solve::<f64>();
}

#[test]
fn saving_changes_no_step_and_the_ends_of_the_span_are_met_exactly() {
    for backend in VJPS {
        let options = SolveOptions::new(0.0, 1.5, 1e-6, 1e-6).with_backend(backend);
        let block = NeuralOde::new(mlp::<f32>(), options);
        let y0 = batch::<4, f32, _>(&Cpu::default(), &waves(20, 0.2));
        let (y1, plain) = block.try_forward_with_stats(y0.clone()).unwrap();
        let times = [0.0, 0.0, 0.2, 0.2, 1.1, 1.5, 1.5];
        let (ys, stats) = block.try_forward_at(y0.clone(), &times).unwrap();
        assert_eq!(stats, plain);
        let ys = ys.as_vec();
        let ys: Vec<&[f32]> = ys.chunks_exact(20).collect();
        assert_eq!(ys[0], y0.as_vec());
        assert_eq!(ys[6], y1.as_vec());
        assert_eq!((ys[0], ys[2], ys[5]), (ys[1], ys[3], ys[6]));
        assert_ne!(ys[3], ys[4]);
    }
}

#[test]
fn saved_points_that_the_loss_ignores_change_no_gradient() {
    let times = [0.0, 0.2, 0.2, 1.1, 1.5];
    let (y0, last) = (waves(20, 0.2), waves(20, 1.1));
    let mut cotangent = vec![0.0; 80];
    cotangent.extend(&last);
    for (adjoint, backend) in ADJOINTS.into_iter().flat_map(|a| VJPS.map(|v| (a, v))) {
        let options = SolveOptions::new(0.0, 1.5, 1e-9, 1e-9)
            .with_adjoint(adjoint)
            .with_backend(backend);
        let block = NeuralOde::new(mlp::<f64>(), options);
        let alone = differentiate_at::<4, f64, _>(&block, &y0, &[1.5], &last).unwrap();
        let all = differentiate_at::<4, f64, _>(&block, &y0, &times, &cotangent).unwrap();
        assert!(relative_error(&all.y0_bar, &alone.y0_bar) < 1e-7);
        for (all, alone) in all.theta_bar.iter().zip(&alone.theta_bar) {
            assert!(
                relative_error(all, alone) < 1e-7,
                "{adjoint:?}, {backend:?}"
            );
        }
    }
}

#[test]
fn the_statistics_say_what_saved_points_cost() {
    let options =
        SolveOptions::new(0.0, 1.6, 1e-3, 1e-3).with_controller(Controller::Constant { dt: 0.4 });
    let (y0, cotangent) = (waves(20, 0.2), waves(80, 1.1));
    let block = NeuralOde::new(mlp::<f64>(), options);
    // Two inside the first step, one inside the third, one at the end.
    let times = [0.1, 0.3, 1.0, 1.6];
    let found = differentiate_at::<4, f64, _>(&block, &y0, &times, &cotangent).unwrap();
    assert_eq!(found.forward.accepted, 4);
    assert_eq!(found.backward.vjps, 6 * 4 + 2);
    assert_eq!(found.backward.accepted, 0);
}

/// A batch of one runs through arrays, one of 150 through five groups of tiles with sums of their own.
#[test]
fn checkpoints_give_the_bits_of_the_discrete_adjoint_in_every_engine() {
    for (backend, (t0, t1), samples) in [
        (Backend::Kernels, (0.0, 1.5), 1),
        (Backend::Kernels, (0.0, 1.5), 150),
        (Backend::Kernels, (1.0, -0.5), 150),
        (Backend::Operations, (0.0, 1.5), 3),
    ] {
        let at = |part: f64| t0 + part * (t1 - t0);
        let times = [at(0.0), at(0.1), at(0.15), at(0.6), at(0.6), at(0.9), t1];
        let (y0, cotangent) = (waves(4 * samples, 0.2), waves(28 * samples, 1.1));
        let gradient = |adjoint| {
            let options = SolveOptions::new(t0, t1, 1e-10, 1e-10)
                .with_backend(backend)
                .with_adjoint(adjoint);
            let block = NeuralOde::new(mlp::<f64>(), options);
            differentiate_at::<4, f64, _>(&block, &y0, &times, &cotangent)
        };
        let expected = gradient(Adjoint::Discrete).unwrap();
        // In states: two, a step, and so on, beside the list of sizes.
        for states in [20, 40, 100, 1000] {
            let bytes = 20_000 + states * 8 * 4 * samples.next_multiple_of(16);
            let found = gradient(Adjoint::Checkpointed { bytes }).unwrap();
            assert_eq!(
                found.y0_bar, expected.y0_bar,
                "{backend:?}, {samples}, {states}"
            );
            assert_eq!(found.theta_bar, expected.theta_bar);
            assert_eq!(found.backward.vjps, expected.backward.vjps);
            assert!(found.backward.field_calls > 6 * found.forward.accepted);
        }
    }
}

#[test]
fn a_budget_that_is_too_small_is_a_typed_error_of_the_taped_solve_alone() {
    let options = SolveOptions::default().with_adjoint(Adjoint::Checkpointed { bytes: 100 });
    for backend in VJPS {
        let block = NeuralOde::new(mlp::<f64>(), options.clone().with_backend(backend));
        let y0 = batch::<4, f64, _>(&Cpu::default(), &waves(8, 0.2));
        let error = block.try_forward_with_stats(y0.leaky_trace()).err();
        assert!(
            matches!(error, Some(SolveError::CheckpointBudget { bytes: 100, .. })),
            "{error:?}"
        );
        assert!(block.try_forward_with_stats(y0).is_ok());
    }
}

#[test]
fn an_empty_span_repeats_its_start() {
    for (adjoint, backend) in ADJOINTS.into_iter().flat_map(|a| VJPS.map(|v| (a, v))) {
        let options = SolveOptions::new(1.0, 1.0, 1e-3, 1e-3)
            .with_adjoint(adjoint)
            .with_backend(backend);
        let block = NeuralOde::new(mlp::<f64>(), options);
        let (y0, cotangent) = (waves(8, 0.2), waves(16, 1.1));
        let found = differentiate_at::<4, f64, _>(&block, &y0, &[1.0, 1.0], &cotangent).unwrap();
        assert_eq!(found.ys, [y0.clone(), y0].concat());
        let sum: Vec<f64> = (0..8).map(|i| cotangent[i] + cotangent[8 + i]).collect();
        assert_eq!(found.y0_bar, sum);
    }
}

#[test]
fn bad_times_are_typed_errors_that_say_what_was_found_and_expected() {
    let fails = |t0: f64, t1: f64, times: &[f64]| {
        let errors = VJPS.map(|backend| {
            let options = SolveOptions::new(t0, t1, 1e-3, 1e-3).with_backend(backend);
            let block = NeuralOde::new(mlp::<f64>(), options);
            let y0 = batch::<4, f64, _>(&Cpu::default(), &waves(4, 0.2));
            let taped = block.try_forward_at(y0.leaky_trace(), times);
            assert!(taped.is_err());
            block.try_forward_at(y0, times).unwrap_err()
        });
        // A NaN differs from itself.
        assert_eq!(errors[0].to_string(), errors[1].to_string());
        errors[0].clone()
    };
    assert_eq!(fails(0.0, 1.0, &[]), SolveError::NoTimes);
    for (times, index) in [(&[0.5, 1.5][..], 1), (&[-0.1], 0), (&[f64::INFINITY], 0)] {
        let error = fails(0.0, 1.0, times);
        assert_eq!(
            error,
            SolveError::TimeOutsideSpan {
                index,
                found: times[index],
                t0: 0.0,
                t1: 1.0
            }
        );
    }
    let text = fails(0.0, 1.0, &[0.5, f64::NAN]).to_string();
    assert!(
        text.contains("times[1] = NaN is not in the time span 0..1"),
        "{text}"
    );
    let error = fails(0.0, 1.0, &[0.1, 0.5, 0.4]);
    assert_eq!(
        error,
        SolveError::UnorderedTimes {
            index: 2,
            found: 0.4,
            previous: 0.5,
            t0: 0.0,
            t1: 1.0
        }
    );
    assert!(error.to_string().contains("ascending"), "{error}");
    let error = fails(1.0, 0.0, &[0.1, 0.5]).to_string();
    assert!(error.contains("descending"), "{error}");
    assert_eq!(
        fails(0.0, f64::INFINITY, &[0.5]),
        SolveError::InvalidSpan {
            t0: 0.0,
            t1: f64::INFINITY
        }
    );
}

#[test]
fn a_cotangent_that_is_not_finite_is_an_error_with_its_time() {
    for (adjoint, backend) in ADJOINTS.into_iter().flat_map(|a| VJPS.map(|v| (a, v))) {
        let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3)
            .with_adjoint(adjoint)
            .with_backend(backend);
        let block = NeuralOde::new(mlp::<f64>(), options);
        let mut cotangent = waves(24, 0.2);
        cotangent[13] = f64::NAN;
        let error =
            differentiate_at::<4, f64, _>(&block, &waves(8, 0.1), &[0.2, 0.4, 1.0], &cotangent)
                .err();
        assert_eq!(
            error,
            Some(SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t: 0.4,
                h: 0.0,
                sample: Some(1)
            })
        );
    }
}

/// Walks back through the same steps with an engine's own method and with the one written against `backend`.
struct Compare {
    params: Vec<f64>,
}

impl KernelVisitor<4> for Compare {
    type Output = ();

    fn visit<K: TileField<4>>(self) {
        let mut engine = HostEngine::<Generated<K, f64>, f64, 4, 16>::new(self.params).unwrap();
        let tiles = |phase| {
            Tiles::from_flat(4, &waves(4 * 37, phase))
                .unwrap()
                .with_empty_padding()
        };
        let options = SolveOptions::new(0.0, 2.0, 1e-3, 1e-3)
            .with_controller(Controller::Constant { dt: 0.3 });
        let mut trajectory = Trajectory::new(&TSIT5);
        let start = Tiles::from_flat(4, &waves(4 * 37, 0.0)).unwrap();
        solve_at(
            &mut engine,
            &TSIT5,
            start,
            &[2.0],
            &options,
            &mut trajectory,
        )
        .unwrap();
        let cotangents: Vec<_> = [0.1, 0.2, 0.3, 0.6, 1.0, 1.7, 1.9, 2.0]
            .map(|t| Cotangent {
                t,
                value: tiles(t + 0.5),
            })
            .into();

        let steps = trajectory.steps();
        assert_eq!(steps.len(), 7);
        let begin = |engine: &mut HostEngine<Generated<K, f64>, f64, 4, 16>| WalkBack {
            lambda: tiles(0.3),
            theta_bar: engine.zero_params().unwrap(),
            norms: Vec::new(),
        };
        let mut by_vjps = begin(&mut engine);
        let vjps = neuralode::ode::field::back::pull_back_steps(
            &mut engine,
            &TSIT5,
            steps,
            &cotangents,
            &mut by_vjps,
        )
        .unwrap();
        assert_eq!(vjps, 6 * 7 + 4);

        // The engine's own, in two parts: the first ends at 1.2.
        let mut own = begin(&mut engine);
        let mut products = 0;
        for (steps, cotangents) in [
            (&steps[4..], &cotangents[5..]),
            (&steps[..4], &cotangents[..5]),
        ] {
            products += engine
                .pull_back_steps(&TSIT5, steps, cotangents, &mut own)
                .unwrap();
        }
        assert_eq!(products, vjps);
        let rows = [&own, &by_vjps].map(|back| back.lambda.to_rows());
        assert!(relative_error(&rows[0], &rows[1]) < 1e-13);
        assert!(relative_error(&own.theta_bar.0, &by_vjps.theta_bar.0) < 1e-13);
        assert_eq!(own.theta_bar.len(), 76);
        assert_eq!(own.norms.len(), steps.len());
        for (own, by_vjps) in own.norms.iter().zip(&by_vjps.norms) {
            assert_eq!((own.t, own.h), (by_vjps.t, by_vjps.h));
            let pairs = [
                (own.error, by_vjps.error),
                (own.first[0], by_vjps.first[0]),
                (own.first[1], by_vjps.first[1]),
                (own.lambda, by_vjps.lambda),
            ];
            for (own, by_vjps) in pairs {
                assert!(
                    by_vjps > 0.0 && (own / by_vjps - 1.0).abs() < 1e-9,
                    "{own:e} {by_vjps:e}"
                );
            }
        }
    }
}

#[test]
fn an_engines_own_walk_back_agrees_with_the_one_written_against_vjps() {
    let params = parameters_of(&mlp::<f64>()).concat();
    assert!(MlpField::<f64>::with_kernel(Compare { params }).is_ok());
}
