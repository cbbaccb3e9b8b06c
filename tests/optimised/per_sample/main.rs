//! Step sizes for each sample of a batch.

#![allow(missing_docs, reason = "a test program")]

#[path = "../../support/mod.rs"]
mod support;

mod closures;

use neuralode::{
    engine::{solve_per_sample, solve_per_sample_keeping, HostEngine, PerSample, Tiles},
    kernel::{
        field::{Generated, TileKernel},
        TileField,
    },
    ode::{
        adjoint::{pull_back, Cotangent},
        error::Quantity,
        method::{ButcherTableau, WithTableau, TSIT5},
        output::saved_points::solve_at,
        solve::record,
        trajectory::Trajectory,
        Solve,
    },
    prelude::*,
    simd::real::Real,
    tensor::KernelVisitor,
    Adjoint, Backend, Controller, FnField, Solver, StepSizes,
};

use support::{batch, derivative, differentiate, relative_error, shift_biases, to_f64};

/// Numbers spread over -3..3.
fn spread(count: usize) -> Vec<f64> {
    let mut state = 1_u32;
    (0..count)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            f64::from(state >> 8) / f64::from(1 << 24) * 6.0 - 3.0
        })
        .collect()
}

fn options() -> SolveOptions {
    SolveOptions::new(0.0, 10.0, 1e-5, 1e-5).with_max_steps(1 << 14)
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Small {
        input: [3],
        ode: Ode {
            field(t, y): [Dense(3 => 8, tanh), Dense(8 => 3)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3, steps: PerSample },
        },
    }
}

// The same model, which does not ask for lanes.
neural_ode! {
    #[derive(Clone, Debug)]
    struct Shared {
        input: [3],
        ode: Ode {
            field(t, y): [Dense(3 => 8, tanh), Dense(8 => 3)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

/// Shows the generated kernels of the field to `visitor`.
fn with_kernels<V: KernelVisitor<3>>(visitor: V) -> V::Output {
    SmallOdeField::<f64, Cpu>::with_kernel(visitor)
        .unwrap_or_else(|_| panic!("a generated field has kernels"))
}

fn params() -> Vec<f64> {
    let count = 3 * 8 + 8 + 8 * 3 + 3;
    (0..count).map(|i| 1.5 * f64::from(i).sin()).collect()
}

type Engine<K> = HostEngine<Generated<K, f64>, f64, 3, 16>;

const TIMES: [f64; 7] = [0.0, 0.5, 0.7, 0.70001, 2.0, 3.0, 3.0];

fn smooth() -> SolveOptions {
    SolveOptions::new(0.0, 3.0, 1e-6, 1e-6)
}

/// The gradient of `sum(c * values)`, where `c` are numbers of any size.
fn gradient<K: TileField<3>, const S: usize>(
    params: Vec<f64>,
    tableau: &'static ButcherTableau<S>,
    y0: &[f64],
    times: &[f64],
    options: &SolveOptions,
) -> (PerSample<f64>, Vec<f64>, Vec<f64>, Vec<Stats>) {
    let engine = Engine::<K>::new(params).unwrap();
    // The derivative of the steps, whatever they are worth.
    let options = &options.clone().with_gradient_error_max(f64::INFINITY);
    let (solution, kept) = solve_per_sample_keeping(&engine, tableau, y0, times, options).unwrap();
    let cotangents = spread(times.len() * y0.len());
    let pulled = kept.pull_back(&engine, &cotangents).unwrap();
    (solution, pulled.y_bar, pulled.theta_bar, pulled.stats)
}

/// Compares gradients with those of batches of one.
struct Singles<'a> {
    samples: usize,
    solver: Solver,
    times: &'a [f64],
    options: SolveOptions,
}

impl KernelVisitor<3> for Singles<'_> {
    type Output = ();

    fn visit<K: TileField<3>>(self) {
        struct With<'a, K>(Singles<'a>, core::marker::PhantomData<K>);
        impl<K: TileField<3>> WithTableau for With<'_, K> {
            type Output = ();
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
                self.0.compare::<K, S>(tableau);
            }
        }
        self.solver
            .with_tableau(With::<K>(self, core::marker::PhantomData));
    }
}

impl Singles<'_> {
    fn compare<K: TileField<3>, const S: usize>(self, tableau: &'static ButcherTableau<S>) {
        let Self {
            samples,
            times,
            options,
            ..
        } = self;
        // The derivative of the steps, whatever they are worth.
        let options = options.with_gradient_error_max(f64::INFINITY);
        let y0 = spread(3 * samples);
        let (_, y_bar, theta_bar, stats) =
            gradient::<K, S>(params(), tableau, &y0, times, &options);
        let cotangents = spread(times.len() * y0.len());
        let mut engine = Engine::<K>::new(params()).unwrap();
        let mut sum = vec![0.0; theta_bar.len()];
        for (index, row) in y0.chunks_exact(3).enumerate() {
            let mut trajectory = Trajectory::new(tableau);
            let start = Tiles::from_flat(3, row).unwrap();
            record(&mut engine, tableau, start, &options, &mut trajectory).unwrap();
            let saved: Vec<_> = times
                .iter()
                .enumerate()
                .map(|(time, t)| Cotangent {
                    t: *t,
                    value: Tiles::from_flat(3, &cotangents[(time * samples + index) * 3..][..3])
                        .unwrap()
                        .with_empty_padding(),
                })
                .collect();
            let alone = pull_back(&mut engine, &trajectory, &saved, &options).unwrap();
            // A second look at the error in lanes walks over the sample's own steps too.
            let looked_twice = alone.stats.field_calls > 0;
            let steps = if looked_twice {
                trajectory.steps().len()
            } else {
                0
            };
            let more = stats[index].vjps - alone.stats.vjps;
            // Stages that only points inside a step need have no part in the other steps.
            let last = tableau.b.iter().rposition(|b| *b != 0.0).unwrap();
            let ending = (0..=last).filter(|i| tableau.has_stage(*i)).count();
            let walk = ending * steps..=(tableau.evaluations + 1) * steps;
            assert!(walk.contains(&more), "{index}: {more} of {walk:?}");
            let found = &y_bar[3 * index..][..3];
            assert!(
                found == alone.y_bar.to_rows(),
                "{} {index}: {found:?} {:?}",
                tableau.name,
                alone.y_bar.to_rows()
            );
            for (sum, x) in sum.iter_mut().zip(&alone.theta_bar.0) {
                *sum += x;
            }
        }
        let error = relative_error(&theta_bar, &sum);
        println!("{} with {samples}: {error:e}", tableau.name);
        assert!(error < 1e-12, "{} with {samples}: {error:e}", tableau.name);
    }
}

#[test]
fn a_gradient_is_the_sum_of_those_of_batches_of_one() {
    for samples in [1, 3, 33, 300] {
        with_kernels(Singles {
            samples,
            solver: Solver::Tsit5,
            times: &TIMES,
            options: smooth(),
        });
    }
    for solver in Solver::ALL.into_iter().filter(|solver| solver.adaptive()) {
        with_kernels(Singles {
            samples: 40,
            solver,
            times: &[1.0, 3.0],
            options: SolveOptions::new(0.0, 3.0, 1e-3, 1e-3),
        });
    }
    // The end alone, equal steps, backwards in time, an empty span.
    let constant = Controller::Constant { dt: 0.08 };
    for (times, options) in [
        (&[3.0][..], smooth()),
        (&[0.1, 3.0], smooth().with_controller(constant)),
        (
            &[3.0, 1.0, 0.5, 0.0],
            SolveOptions::new(3.0, 0.0, 1e-6, 1e-6),
        ),
        (&[1.0, 1.0], SolveOptions::new(1.0, 1.0, 1e-6, 1e-6)),
    ] {
        with_kernels(Singles {
            samples: 40,
            solver: Solver::Tsit5,
            times,
            options,
        });
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Cubic {
        input: [3],
        ode: Ode {
            field(t, y): [Pow(3), Dense(3 => 3)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

/// `y' = -1e-20 y^3`
struct Overflowing;

impl KernelVisitor<3> for Overflowing {
    type Output = ();

    fn visit<K: TileField<3>>(self) {
        let params: Vec<f32> = (0..12)
            .map(|i| if [0, 4, 8].contains(&i) { -1e-20 } else { 0.0 })
            .collect();
        let y0: Vec<f32> = spread(3 * 40)
            .iter()
            .map(|y| f32::from_f64(1e10 * y))
            .collect();
        let mut options = SolveOptions::new(0.0, 40.0, 1e-3, 1e-3);
        options.dt0 = Some(20.0);
        let mut engine = HostEngine::<Generated<K, f32>, f32, 3, 32>::new(params).unwrap();
        let (solution, kept) =
            solve_per_sample_keeping(&engine, &TSIT5, &y0, &[40.0], &options).unwrap();
        assert!(solution.stats.iter().all(|stats| stats.rejected > 0));
        let pulled = kept.pull_back(&engine, &vec![1.0; y0.len()]).unwrap();
        assert!(pulled.theta_bar.iter().all(|x| x.is_finite()));
        for (index, row) in y0.chunks_exact(3).enumerate() {
            let mut trajectory = Trajectory::new(&TSIT5);
            let start = Tiles::from_flat(3, row).unwrap();
            record(&mut engine, &TSIT5, start, &options, &mut trajectory).unwrap();
            let saved = [Cotangent {
                t: 40.0,
                value: Tiles::from_flat(3, &[1.0; 3]).unwrap().with_empty_padding(),
            }];
            let alone = pull_back(&mut engine, &trajectory, &saved, &options).unwrap();
            assert_eq!(pulled.y_bar[3 * index..][..3], alone.y_bar.to_rows());
        }
    }
}

#[test]
fn nothing_comes_back_through_attempts_that_overflowed() {
    CubicOdeField::<f32, Cpu>::with_kernel(Overflowing)
        .unwrap_or_else(|_| panic!("a generated field has kernels"));
}

#[test]
fn a_gradient_is_the_derivative_of_the_loss() {
    struct Differences;
    impl KernelVisitor<3> for Differences {
        type Output = ();
        fn visit<K: TileField<3>>(self) {
            let options = SolveOptions::new(0.0, 3.0, 1e-12, 1e-12);
            let y0 = spread(3 * 5);
            let c = spread(TIMES.len() * y0.len());
            let (_, y_bar, theta_bar, _) =
                gradient::<K, 7>(params(), &TSIT5, &y0, &TIMES, &options);
            let loss = |params: Vec<f64>, y0: &[f64]| -> f64 {
                let engine = Engine::<K>::new(params).unwrap();
                let solution = solve_per_sample(&engine, &TSIT5, y0, &TIMES, &options).unwrap();
                solution.values.iter().zip(&c).map(|(y, c)| y * c).sum()
            };
            for (index, found) in y_bar.iter().enumerate() {
                let expected = derivative(|shift| {
                    let mut y0 = y0.clone();
                    y0[index] += shift;
                    loss(params(), &y0)
                });
                assert!((found - expected).abs() < 1e-6 * (1.0 + expected.abs()));
            }
            for (index, found) in theta_bar.iter().enumerate() {
                let expected = derivative(|shift| {
                    let mut params = params();
                    params[index] += shift;
                    loss(params, &y0)
                });
                assert!(
                    (found - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                    "{index}: {found} {expected}"
                );
            }
        }
    }
    with_kernels(Differences);
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    struct Threads;
    impl KernelVisitor<3> for Threads {
        type Output = ();
        fn visit<K: TileField<3>>(self) {
            // As many samples as make work for several threads.
            let y0 = spread(3 * 2500);
            let of = |threads: usize| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.unwrap().install(|| {
                    let (solution, y_bar, theta_bar, stats) =
                        gradient::<K, 7>(params(), &TSIT5, &y0, &TIMES, &smooth());
                    (solution.values, solution.stats, y_bar, theta_bar, stats)
                })
            };
            let one = of(1);
            assert!(of(2) == one);
            assert!(of(5) == one);
        }
    }
    with_kernels(Threads);
}

#[test]
fn cotangents_are_checked() {
    struct Wrong;
    impl KernelVisitor<3> for Wrong {
        type Output = ();
        fn visit<K: TileField<3>>(self) {
            let engine = Engine::<K>::new(params()).unwrap();
            let y0 = spread(3 * 4);
            let (_, kept) =
                solve_per_sample_keeping(&engine, &TSIT5, &y0, &[1.0, 3.0], &smooth()).unwrap();
            let mut cotangents = vec![1.0; 2 * 12];
            assert!(matches!(
                kept.pull_back(&engine, &cotangents[1..]),
                Err(SolveError::ShapeMismatch { .. })
            ));
            cotangents[12 + 7] = f64::NAN;
            let found = kept.pull_back(&engine, &cotangents).unwrap_err();
            let SolveError::NonFinite {
                quantity: Quantity::Cotangent,
                t,
                sample: Some(2),
                ..
            } = found
            else {
                panic!("{found:?}");
            };
            assert!((t - 3.0).abs() < 1e-15);
        }
    }
    with_kernels(Wrong);
}

#[test]
fn the_macro_declares_steps_for_each_sample() {
    neural_ode! {
        struct Declared {
            input: [3],
            ode: Ode {
                field(t, y): Dense(3 => 3, tanh),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3, steps: PerSample },
            },
            shared: Ode {
                field(t, y): Dense(3 => 3, tanh),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3, steps: Shared },
            },
        }
    }
    let model = Declared::<f64, _>::build(&Cpu::default());
    assert_eq!(model.ode.options.steps, StepSizes::PerSample);
    assert_eq!(model.shared.options.steps, StepSizes::Shared);
}

/// A block with steps for each sample.
fn block() -> NeuralOde<SmallOdeField<f64, Cpu>> {
    let mut block = Small::<f64, _>::build(&Cpu::seed_from_u64(3)).ode;
    shift_biases(&mut block.field);
    block.options = smooth().with_steps(StepSizes::PerSample);
    block
}

#[test]
fn a_block_gives_every_sample_what_it_gives_it_alone() {
    let dev = Cpu::default();
    let (rows, c) = (spread(3 * 40), spread(3 * 40));
    let block = block();
    let all = differentiate(&block, &batch::<3, _, _>(&dev, &rows), &batch(&dev, &c)).unwrap();
    let (mut stats, mut backward) = (Stats::default(), Stats::default());
    let mut theta_bar: Vec<Vec<f64>> = all.theta_bar.iter().map(|x| vec![0.0; x.len()]).collect();
    for (index, (row, c)) in rows.chunks_exact(3).zip(c.chunks_exact(3)).enumerate() {
        let alone = differentiate(&block, &batch::<3, _, _>(&dev, row), &batch(&dev, c)).unwrap();
        assert_eq!(alone.y1, all.y1[3 * index..][..3], "{index}");
        assert_eq!(alone.y0_bar, all.y0_bar[3 * index..][..3], "{index}");
        stats += alone.forward;
        backward += alone.backward;
        let sums = theta_bar.iter_mut().flatten();
        for (sum, x) in sums.zip(alone.theta_bar.iter().flatten()) {
            *sum += x;
        }
    }
    assert_eq!((stats, backward), (all.forward, all.backward));
    for (found, sum) in all.theta_bar.iter().zip(&theta_bar) {
        assert!(relative_error(found, sum) < 1e-12);
    }
    // The same problem as with one step size, within the tolerances.
    let shared = block.clone().with_options(smooth());
    let shared = differentiate(&shared, &batch::<3, _, _>(&dev, &rows), &batch(&dev, &c)).unwrap();
    assert!(relative_error(&all.y1, &shared.y1) < 1e-4);
    assert!(relative_error(&all.y0_bar, &shared.y0_bar) < 1e-4);
    assert!(all.y1 != shared.y1);
}

#[test]
fn saved_points_of_a_block_have_gradients_with_steps_for_each_sample() {
    let dev = Cpu::default();
    let rows = spread(3 * 5);
    let block = block()
        .with_options(SolveOptions::new(0.0, 3.0, 1e-12, 1e-12).with_steps(StepSizes::PerSample));
    let c = spread(TIMES.len() * rows.len());
    let weights: Tensor<(usize, usize, Const<3>), f64, _> =
        dev.tensor_from_vec(c.clone(), (TIMES.len(), 5, Const));
    let y0 = batch::<3, f64, _>(&dev, &rows);
    let (ys, _) = block.try_forward_at(y0.leaky_trace(), &TIMES).unwrap();
    let (gradients, _) = try_backward((ys * weights).sum::<Rank0, _>()).unwrap();
    let found = to_f64(&gradients.get(&y0).as_vec());
    let loss = |rows: &[f64]| -> f64 {
        let (ys, _) = block
            .try_forward_at(batch::<3, _, _>(&dev, rows), &TIMES)
            .unwrap();
        ys.as_vec().iter().zip(&c).map(|(y, c)| y * c).sum()
    };
    for (index, found) in found.iter().enumerate() {
        let expected = derivative(|shift| {
            let mut rows = rows.clone();
            rows[index] += shift;
            loss(&rows)
        });
        assert!((found - expected).abs() < 1e-6 * (1.0 + expected.abs()));
    }
}

/// A block of the model that does not ask for lanes, with the parameters of [`block`].
fn block_without_lanes() -> NeuralOde<SharedOdeField<f64, Cpu>> {
    let mut block = Shared::<f64, _>::build(&Cpu::seed_from_u64(3)).ode;
    shift_biases(&mut block.field);
    block.options = smooth().with_steps(StepSizes::PerSample);
    block
}

#[test]
fn a_field_without_lanes_gives_the_same_numbers_one_sample_after_the_other() {
    let dev = Cpu::default();
    let (rows, c) = (spread(3 * 40), spread(3 * 40));
    let (y0, c) = (batch::<3, _, _>(&dev, &rows), batch(&dev, &c));
    let lanes = differentiate(&block(), &y0, &c).unwrap();
    let each = differentiate(&block_without_lanes(), &y0, &c).unwrap();
    assert_eq!(each.y1, lanes.y1);
    assert_eq!(each.y0_bar, lanes.y0_bar);
    let error = each.backward.gradient_error - lanes.backward.gradient_error;
    assert!(error.abs() < 1e-12);
    assert_eq!(each.forward, lanes.forward);
    // A second look at the error in lanes walks over the sample's own steps too.
    let more = |of: fn(&Stats) -> usize| of(&lanes.backward) - of(&each.backward);
    let looks_twice = each.backward.field_calls > 0;
    assert_eq!(more(|stats| stats.vjps) > 0, looks_twice);
    assert_eq!(more(|stats| stats.field_calls) > 0, looks_twice);
    let most = 7 * each.forward.accepted;
    assert!(more(|stats| stats.vjps) <= most);
    for (found, expected) in each.theta_bar.iter().zip(&lanes.theta_bar) {
        assert!(relative_error(found, expected) < 1e-12);
    }
}

#[test]
fn every_adjoint_and_the_tape_have_steps_for_each_sample() {
    let dev = Cpu::default();
    let (rows, c) = (spread(3 * 5), spread(3 * 5));
    let (y0, c) = (batch::<3, _, _>(&dev, &rows), batch(&dev, &c));
    let tight = SolveOptions::new(0.0, 3.0, 1e-10, 1e-10).with_steps(StepSizes::PerSample);
    let expected = differentiate(&block().with_options(tight.clone()), &y0, &c).unwrap();
    for adjoint in [
        Adjoint::Discrete,
        Adjoint::Checkpointed { bytes: 1 << 16 },
        Adjoint::Interpolating,
        Adjoint::Gauss,
        Adjoint::Quadrature,
        Adjoint::Backsolve,
    ] {
        for backend in [Backend::Kernels, Backend::Operations] {
            let options = tight.clone().with_adjoint(adjoint).with_backend(backend);
            let found = differentiate(&block().with_options(options), &y0, &c).unwrap();
            let what = format!("{adjoint:?} {backend:?}");
            assert_eq!(found.forward.accepted, expected.forward.accepted, "{what}");
            assert!(relative_error(&found.y1, &expected.y1) < 1e-12, "{what}");
            assert!(
                relative_error(&found.y0_bar, &expected.y0_bar) < 1e-7,
                "{what}"
            );
            for (found, expected) in found.theta_bar.iter().zip(&expected.theta_bar) {
                assert!(relative_error(found, expected) < 1e-7, "{what}");
            }
        }
    }
}

#[test]
fn points_that_must_be_hit_go_with_steps_for_each_sample() {
    let dev = Cpu::default();
    let y0 = batch::<3, f64, _>(&dev, &spread(3 * 4));
    let mut block = block();
    block.options.step_at = vec![1.0].into();
    let (y1, stats) = block.try_forward_with_stats(y0.clone()).unwrap();
    block.options.step_at = Vec::new().into();
    let (without, fewer) = block.try_forward_with_stats(y0).unwrap();
    assert!(stats.accepted > fewer.accepted);
    assert!(relative_error(&to_f64(&y1.as_vec()), &to_f64(&without.as_vec())) < 1e-4);
}

#[test]
fn a_failing_sample_of_a_block_is_named() {
    let dev = Cpu::default();
    let mut rows = spread(3 * 40);
    rows[3 * 21] = f64::NAN;
    let error = block()
        .try_forward_with_stats(batch::<3, f64, _>(&dev, &rows))
        .unwrap_err();
    assert!(
        matches!(
            error,
            SolveError::NonFinite {
                sample: Some(21),
                ..
            }
        ),
        "{error:?}"
    );
}
