//! Closures in tiles, each sample with steps of its own.

use super::*;

/// Van der Pol's oscillator at mu = 5.
fn oscillator(_: f64, [x, v]: &[f64; 2]) -> [f64; 2] {
    [*v, 5.0 * (1.0 - x * x) * v - x]
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "fields take states by reference"
)]
fn oscillator_f32(_: f64, [x, v]: &[f32; 2]) -> [f32; 2] {
    [*v, 5.0 * (1.0 - x * x) * v - x]
}

/// A pendulum that is driven: the field depends on time.
fn driven(t: f64, [x, v]: &[f64; 2]) -> [f64; 2] {
    [*v, (3.0 * t).cos() - x.sin() - 0.1 * v]
}

fn attempts(stats: Stats) -> usize {
    stats.accepted + stats.rejected
}

/// Asserts that a batch gives the bits and counts of the whole-batch engine with each sample alone.
fn equals_batches_of_one<
    G: TileKernel<E, N, L>,
    E: Real,
    const N: usize,
    const L: usize,
    const S: usize,
>(
    engine: &mut HostEngine<G, E, N, L>,
    tableau: &'static ButcherTableau<S>,
    y0: &[E],
    times: &[f64],
    options: &SolveOptions,
) {
    let together = solve_per_sample(engine, tableau, y0, times, options).unwrap();
    let samples = y0.len() / N;
    assert_eq!(together.stats.len(), samples);
    assert_eq!(together.values.len(), times.len() * y0.len());
    for (index, row) in y0.chunks_exact(N).enumerate() {
        let start = Tiles::from_flat(N, row).unwrap();
        let (values, stats) = solve_at(engine, tableau, start, times, options, &mut ()).unwrap();
        assert_eq!(together.stats[index], stats, "{} {index}", tableau.name);
        for (time, value) in values.iter().enumerate() {
            let found = &together.values[(time * samples + index) * N..][..N];
            assert!(
                found == value.to_rows(),
                "{} {index} {time}: {found:?} {:?}",
                tableau.name,
                value.to_rows()
            );
        }
    }
}

#[test]
fn a_sample_has_the_bits_and_counts_of_a_batch_of_one() {
    let times = [0.0, 0.0, 1.25, 1.25, 3.0, 9.999, 10.0, 10.0];
    let y0 = spread(2 * 512);
    let singles: Vec<f32> = y0.iter().map(|y| f32::from_f64(*y)).collect();
    for samples in [1, 3, 16, 33, 512] {
        let mut engine = FnField::new(oscillator).batch_of::<16>();
        equals_batches_of_one(&mut engine, &TSIT5, &y0[..2 * samples], &times, &options());
        let mut engine = FnField::new(oscillator_f32).batch_of::<32>();
        let y0 = &singles[..2 * samples];
        equals_batches_of_one(&mut engine, &TSIT5, y0, &times, &options());
    }
}

#[test]
fn every_lane_has_its_own_time_forwards_and_backwards() {
    let y0 = spread(2 * 50);
    for (t0, t1) in [(0.0, 8.0), (8.0, 0.0), (-1.0, -7.0)] {
        let times: Vec<f64> = (0..=10)
            .map(|i| t0 + (t1 - t0) * f64::from(i) / 10.0)
            .collect();
        let options = SolveOptions::new(t0, t1, 1e-6, 1e-6);
        let mut engine = FnField::new(driven).batch_of::<16>();
        equals_batches_of_one(&mut engine, &TSIT5, &y0, &times, &options);
    }
}

#[test]
fn every_method_and_controller_does_for_a_sample_what_it_does_for_a_batch_of_one() {
    struct Check(Controller);
    impl WithTableau for Check {
        type Output = ();
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
            let options = SolveOptions::new(0.0, 2.0, 1e-4, 1e-4)
                .with_controller(self.0)
                .with_max_steps(1 << 14);
            let mut engine = FnField::new(driven).batch_of::<16>();
            let y0 = spread(2 * 20);
            equals_batches_of_one(&mut engine, tableau, &y0, &[0.3, 1.7, 2.0], &options);
        }
    }
    let pid = Controller::Pid {
        p: 0.2,
        i: 0.4,
        d: 0.1,
    };
    for solver in Solver::ALL {
        solver.with_tableau(Check(Controller::Constant { dt: 0.07 }));
        if solver.adaptive() {
            for controller in [Controller::I, Controller::PI, pid] {
                solver.with_tableau(Check(controller));
            }
        }
    }
}

#[test]
fn a_given_first_step_bounds_of_steps_and_an_empty_span_are_kept() {
    let y0 = spread(2 * 5);
    let mut engine = FnField::new(driven).batch_of::<16>();
    let mut options = SolveOptions::new(0.0, 2.0, 1e-4, 1e-4);
    options.dt0 = Some(0.02);
    equals_batches_of_one(&mut engine, &TSIT5, &y0, &[1.0, 2.0], &options);
    options.dt_max = Some(0.05);
    options.dt_min = Some(0.03);
    equals_batches_of_one(&mut engine, &TSIT5, &y0, &[1.0, 2.0], &options);
    options.t1 = 0.0;
    equals_batches_of_one(&mut engine, &TSIT5, &y0, &[0.0, 0.0], &options);
}

#[test]
fn the_counts_are_those_of_one_system_as_an_array() {
    let y0 = spread(2 * 512);
    let engine = FnField::new(oscillator).batch_of::<16>();
    let together = solve_per_sample(&engine, &TSIT5, &y0, &[10.0], &options()).unwrap();
    let mut alone = FnField::new(oscillator);
    for (index, row) in y0.as_chunks::<2>().0.iter().enumerate() {
        let solution = record(&mut alone, &TSIT5, *row, &options(), &mut ()).unwrap();
        // The sums of that engine have another order; no error of these problems is near 1 by rounding alone.
        assert_eq!(together.stats[index], solution.stats(), "{index}");
        let found = &together.values[2 * index..][..2];
        assert!(relative_error(found, &solution.y) < 1e-9, "{index}");
    }
}

#[test]
fn a_batch_takes_less_than_half_the_work_of_one_step_size_for_all() {
    let y0: Vec<f32> = spread(2 * 512).iter().map(|y| f32::from_f64(*y)).collect();
    let mut engine = FnField::new(oscillator_f32).batch_of::<32>();
    let each = solve_per_sample(&engine, &TSIT5, &y0, &[10.0], &options()).unwrap();
    let shared = record(
        &mut engine,
        &TSIT5,
        Tiles::from_flat(2, &y0).unwrap(),
        &options(),
        &mut (),
    )
    .unwrap();
    let work: usize = each.stats.iter().map(|stats| stats.field_calls).sum();
    let counts = || each.stats.iter().map(|stats| attempts(*stats));
    println!(
        "{work} evaluations of a sample, {} with one step size; {:?} to {:?} steps",
        shared.field_calls * 512,
        counts().min(),
        counts().max()
    );
    assert!(2 * work < shared.field_calls * 512);
}

/// The samples of `rows` in another order.
fn permuted<E: Copy>(rows: &[E], order: &[usize]) -> Vec<E> {
    order
        .iter()
        .flat_map(|i| [rows[2 * i], rows[2 * i + 1]])
        .collect()
}

#[test]
fn a_permuted_batch_gives_permuted_results() {
    let y0 = spread(2 * 300);
    let order: Vec<usize> = (0..300).map(|i| i * 77 % 300).collect();
    let engine = FnField::new(oscillator).batch_of::<16>();
    let solve = |y0: &[f64]| solve_per_sample(&engine, &TSIT5, y0, &[10.0], &options()).unwrap();
    let (straight, mixed) = (solve(&y0), solve(&permuted(&y0, &order)));
    assert_eq!(mixed.values, permuted(&straight.values, &order));
    let stats: Vec<Stats> = order.iter().map(|i| straight.stats[*i]).collect();
    assert_eq!(mixed.stats, stats);
}

#[test]
fn the_first_sample_that_fails_is_named_with_its_own_step() {
    let mut y0 = spread(2 * 300);
    let engine = FnField::new(oscillator).batch_of::<16>();
    let solve = |y0: &[f64], options: &SolveOptions| {
        solve_per_sample(&engine, &TSIT5, y0, &[10.0], options).unwrap_err()
    };
    let all = solve_per_sample(&engine, &TSIT5, &y0, &[10.0], &options()).unwrap();
    let most = all
        .stats
        .iter()
        .map(|stats| attempts(*stats))
        .max()
        .unwrap();
    let longest = all
        .stats
        .iter()
        .position(|stats| attempts(*stats) == most)
        .unwrap();
    let short = options().with_max_steps(most - 1);
    let found = solve(&y0, &short);
    let mut alone = FnField::new(oscillator).batch_of::<16>();
    let start = Tiles::from_flat(2, &y0[2 * longest..][..2]).unwrap();
    let expected = record(&mut alone, &TSIT5, start, &short, &mut ()).unwrap_err();
    let SolveError::MaxSteps {
        t,
        t1,
        h,
        error,
        steps,
        ..
    } = expected
    else {
        panic!("{expected:?}");
    };
    let named = SolveError::MaxSteps {
        t,
        t1,
        h,
        error,
        steps,
        sample: Some(longest),
    };
    assert_eq!(found, named);

    y0[2 * 250] = f64::NAN;
    y0[2 * 170 + 1] = f64::INFINITY;
    let SolveError::NonFinite {
        quantity: Quantity::InitialState,
        sample: Some(170),
        ..
    } = solve(&y0, &options())
    else {
        panic!("{:?}", solve(&y0, &options()));
    };
    // An earlier sample that fails later in time comes first.
    assert_eq!(
        solve(&y0, &options().with_max_steps(5)),
        solve(&y0[..2], &options().with_max_steps(5))
    );
}

#[test]
fn a_solution_that_blows_up_is_found_in_its_sample() {
    // y' = y^2 reaches infinity at t = 1 / y0.
    let engine = FnField::new(|_: f64, [y]: &[f64; 1]| [y * y]).batch_of::<16>();
    let mut y0 = vec![-1.0; 40];
    (y0[37], y0[11]) = (5.0, 1.0);
    let options = SolveOptions::new(0.0, 2.0, 1e-6, 1e-6);
    let error = solve_per_sample(&engine, &TSIT5, &y0, &[2.0], &options).unwrap_err();
    match error {
        SolveError::StepTooSmall {
            t,
            sample: Some(11),
            ..
        }
        | SolveError::NonFinite {
            t,
            sample: Some(11),
            quantity: Quantity::Step,
            ..
        } => assert!((t - 1.0).abs() < 1e-3, "{t}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_input_is_an_error() {
    let engine = FnField::new(oscillator).batch_of::<16>();
    let solve = |y0: &[f64], times: &[f64]| {
        solve_per_sample(&engine, &TSIT5, y0, times, &options()).unwrap_err()
    };
    assert!(matches!(solve(&[], &[1.0]), SolveError::EmptyBatch { .. }));
    assert!(matches!(
        solve(&[1.0; 3], &[1.0]),
        SolveError::ShapeMismatch { .. }
    ));
    assert!(matches!(solve(&[1.0; 2], &[]), SolveError::NoTimes));
    assert!(matches!(
        solve(&[1.0; 2], &[11.0]),
        SolveError::TimeOutsideSpan { .. }
    ));
    let rk4 = solve_per_sample(
        &engine,
        &neuralode::ode::method::RK4,
        &[1.0; 2],
        &[1.0],
        &options(),
    );
    assert!(matches!(rk4, Err(SolveError::NoErrorEstimate { .. })));
    let mut stops = options();
    stops.step_at = vec![1.0].into();
    let stopped = solve_per_sample(&engine, &TSIT5, &[1.0; 2], &[1.0], &stops);
    assert!(matches!(stopped, Err(SolveError::SharedStepsOnly { .. })));
}

#[test]
fn the_loop_for_one_state_refuses_step_sizes_for_each_sample_of_a_batch() {
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6).with_steps(StepSizes::PerSample);
    let field = || FnField::new(|_t, [y]: &[f64; 1]| [-y]);
    let batch = Tiles::<f64, 16>::from_flat(1, &[1.0, 2.0]).unwrap();
    let refused = Solve::new(&mut field().batch_of::<16>(), batch, &options).run();
    assert!(matches!(
        refused.unwrap_err().error,
        SolveError::SharedStepsOnly { .. }
    ));
    // A single sample has but one step size.
    let alone = Tiles::<f64, 16>::from_flat(1, &[1.0]).unwrap();
    assert!(Solve::new(&mut field().batch_of::<16>(), alone, &options)
        .run()
        .is_ok());
    assert!(Solve::new(&mut field(), [1.0], &options).run().is_ok());
}
