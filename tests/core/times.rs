//! Time has a resolution: which steps are too small, where they end, and which saved times are meant to be equal.

use std::cell::RefCell;

use crate::support::{equal, lane, options, run, Field, One, ADJOINTS};
use neuralode_core::{
    engine::{solve_per_sample, solve_per_sample_keeping, Tiles},
    ode::{
        adjoint::{solve_keeping, Cotangent},
        method::{ButcherTableau, WithTableau, TSIT5},
        output::saved_points::solve_at,
        solve::record,
        trajectory::Trajectory,
        SaveAt, Solve,
    },
    FnField, SolveError, SolveOptions, Solver,
};
use rand::{rngs::StdRng, Rng, SeedableRng};

/// Sizes of all steps.
fn sizes(f: impl Fn(f64, &One) -> One, solver: Solver, options: &SolveOptions) -> Vec<f64> {
    struct Sizes<'a, F>(F, &'a SolveOptions);
    impl<F: Fn(f64, &One) -> One> WithTableau for Sizes<'_, F> {
        type Output = Vec<f64>;
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) -> Vec<f64> {
            let mut steps = Trajectory::new(tableau);
            let mut field = FnField::new(self.0);
            record(&mut field, tableau, [1.0], self.1, &mut steps).unwrap();
            steps.steps().iter().map(|step| step.h).collect()
        }
    }
    solver.with_tableau(Sizes(f, options))
}

/// A field with its span and the integral over it.
type Case = (fn(f64, &One) -> One, f64, f64, f64);

#[test]
fn steps_are_as_small_as_the_current_time_resolves() {
    let day = 86_400.0;
    // Spans whose ends are far coarser than where something happens.
    let fields: [Case; 5] = [
        (|t, _| [1.0 / (t + 1e-15)], 0.0, 1.0, 34.538_776_394_910_684),
        (
            |t, _| [1.0 / (t + 1e-15)],
            1.0,
            0.0,
            -34.538_776_394_910_684,
        ),
        (
            |t, _| [1.0 / t],
            1e6,
            1e50 / 299_792_458.0,
            81.795_143_376_2,
        ),
        (|t, _| [(-t / 1e-12).exp() / 1e-12], 0.0, day, 1.0),
        (|t, _| [(t / 1e-12).exp() / 1e-12], -day, 0.0, 1.0),
    ];
    for (f, t0, t1, right) in fields {
        let options = options(t0, t1);
        let plain = run(f, [0.0], &options).unwrap();
        assert!(
            (plain.y[0] / right - 1.0).abs() < 1e-6,
            "{t0}..{t1}: {:?}",
            plain.y
        );
        let sample = lane(f, [0.0], &options).unwrap();
        assert!(
            (sample.values[0] / right - 1.0).abs() < 1e-6,
            "{t0}..{t1} in a lane"
        );
        assert_eq!(sample.stats[0].accepted, plain.stats.accepted);
    }
}

#[test]
fn a_step_that_would_be_below_the_resolution_of_its_time_is_a_typed_error() {
    // A pole at 1000.
    let f = |t: f64, _: &One| [1.0 / (t - 1000.3)];
    let failure = run(f, [0.0], &options(1000.0, 1001.0)).unwrap_err();
    let SolveError::StepTooSmall { t, minimum, .. } = failure.error else {
        panic!("{failure:?}");
    };
    let unit = t.next_up() - t;
    assert!((8.0 * unit..=16.0 * unit).contains(&minimum), "{minimum:e}");
    let SolveError::StepTooSmall {
        minimum: in_lane, ..
    } = lane(f, [0.0], &options(1000.0, 1001.0)).unwrap_err()
    else {
        panic!();
    };
    assert!((in_lane / minimum - 1.0).abs() < 1e-9);
}

#[test]
fn equal_steps_are_as_many_as_fit_and_none_has_no_length() {
    let still = |_: f64, _: &One| [1.0];
    for solver in Solver::ALL {
        let found = sizes(still, solver, &equal(16866.0, 16866.2, 0.01));
        assert_eq!(found.len(), 20, "{solver:?}: {found:?}");
        let found = sizes(still, solver, &equal(1e9, 1e9 + 1e-4, 1e-6));
        assert!(
            found.len() <= 101 && found.iter().all(|h| *h > 2e-7),
            "{solver:?}: {found:?}"
        );
    }
    let mut random = StdRng::seed_from_u64(1);
    for _ in 0..4000 {
        let offset = 10.0_f64.powf(random.gen_range(-9.0..15.0));
        let t0 = offset * [1.0, -1.0][random.gen_range(0..2)];
        let dt = (offset * 10.0_f64.powf(random.gen_range(-12.0..1.0))).max(1e-14 * offset);
        let count = random.gen_range(1..60_usize);
        let direction = [1.0, -1.0][random.gen_range(0..2)];
        let t1 = t0 + direction * dt * count as f64;
        let found = sizes(still, Solver::Euler, &equal(t0, t1, dt));
        // The span's own rounding is a part of a step.
        let exact = ((t1 - t0) / dt).abs();
        assert!(
            (found.len() as f64 - exact).abs() < 0.5 + 1e-6
                && found.iter().all(|h| h.abs() > 0.4 * dt),
            "{t0:e}..{t1:e} in {count} steps of {dt:e}: {found:?}"
        );
    }
}

#[test]
fn limited_steps_and_stops_leave_no_step_without_length() {
    let still = |_: f64, _: &One| [1.0];
    let mut random = StdRng::seed_from_u64(2);
    for _ in 0..1000 {
        let offset = 10.0_f64.powf(random.gen_range(-9.0..12.0));
        let t0 = offset * [1.0, -1.0][random.gen_range(0..2)];
        let span = offset * 10.0_f64.powf(random.gen_range(-8.0..0.0));
        let t1 = t0 + [1.0, -1.0][random.gen_range(0..2)] * span;
        let count = random.gen_range(1..300_u32);
        let largest = span / f64::from(count);
        let limited = options(t0, t1).with_dt_max(largest).with_dt0(largest);
        let found = sizes(still, Solver::Tsit5, &limited);
        assert!(
            found.len() == count as usize || found.len() == count as usize + 1,
            "{t0:e}..{t1:e} by {largest:e}: {}",
            found.len()
        );
        for h in &found {
            assert!(
                (0.4..=1.01).contains(&(h.abs() / largest)),
                "{t0:e}..{t1:e}: {h:e} of {largest:e}"
            );
        }
        let mut stops: Vec<f64> = (0..5)
            .map(|_| t0 + random.gen_range(0.0..1.0) * (t1 - t0))
            .collect();
        stops.sort_by(f64::total_cmp);
        let found = sizes(still, Solver::Tsit5, &limited.with_step_at(stops));
        assert!(found.iter().all(|h| *h != 0.0));
    }
}

#[test]
fn gradients_and_dense_output_of_spans_that_ended_in_a_step_without_length_are_right() {
    const DECAY: Field<1, 1> = Field {
        parameters: [-2.0],
        f: |_, y, [p]| [p * y[0]],
        products: |_, y, [p], c| ([p * c[0]], [y[0] * c[0]]),
    };
    struct Gradient(SolveOptions);
    impl WithTableau for Gradient {
        type Output = ();
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
            let Self(options) = self;
            let mut field = DECAY;
            let (_, _, kept) =
                solve_keeping(&mut field, tableau, [1.0], &[options.t1], &options).unwrap();
            let cotangent = Cotangent {
                t: options.t1,
                value: [1.0],
            };
            let pulled = kept.pull_back(&mut field, &[cotangent]).unwrap();
            let (span, right) = (
                options.t1 - options.t0,
                (-2.0 * (options.t1 - options.t0)).exp(),
            );
            let name = (options.solver, options.adjoint);
            assert!(
                (pulled.y_bar[0] / right - 1.0).abs() < 0.01,
                "{name:?}: {pulled:?}"
            );
            assert!(
                (pulled.theta_bar[0] / (span * right) - 1.0).abs() < 0.05,
                "{name:?}: {pulled:?}"
            );
        }
    }
    for solver in Solver::ALL {
        for adjoint in ADJOINTS {
            for (t0, t1, dt) in [(16866.0, 16866.2, 0.01), (1e9, 1e9 + 2e-4, 1e-6)] {
                let options = equal(t0, t1, dt).with_solver(solver).with_adjoint(adjoint);
                solver.with_padded_tableau(Gradient(options));
            }
        }
        let options = equal(16866.0, 16866.2, 0.01).with_solver(solver);
        let solution = run(|_, y| [-2.0 * y[0]], [1.0], &options).unwrap();
        assert!((solution.at(options.t1).unwrap()[0] / solution.y[0] - 1.0).abs() < 1e-14);
        assert!(
            (solution.derivative_at(options.t1).unwrap()[0] / (-2.0 * solution.y[0]) - 1.0).abs()
                < 0.01
        );
    }
}

#[test]
fn no_time_makes_a_dense_output_panic() {
    for solver in Solver::ALL {
        struct Ask;
        impl WithTableau for Ask {
            type Output = ();
            fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
                let mut field = FnField::new(|_, y: &One| [-y[0]]).batch_of::<16>();
                let mut steps = Trajectory::new(tableau);
                let y0 = Tiles::from_rows(&[[1.0]; 3]);
                let options = equal(0.0, 1.0, 0.25);
                record(&mut field, tableau, y0.clone(), &options, &mut steps).unwrap();
                let mut out = y0;
                for t in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                    assert!(matches!(
                        steps.evaluate(t, &mut out),
                        Err(SolveError::NotSolved { .. })
                    ));
                    assert!(steps.derivative(t, &mut out).is_err());
                }
                assert!(steps.evaluate(-1e300, &mut out).is_ok() || !out.to_rows()[0].is_finite());
            }
        }
        solver.with_padded_tableau(Ask);
    }
}

#[test]
fn equal_steps_below_the_resolution_of_time_are_refused() {
    let f = |_: f64, _: &One| [1.0];
    let far = equal(-1e15, -1e15 + 1.0, 0.02);
    let expected = SolveError::StepBelowResolution {
        name: "dt",
        found: 0.02,
        t: -1e15,
        minimum: 2.0 * f64::EPSILON * 1e15,
    };
    assert_eq!(run(f, [0.0], &far).unwrap_err().error, expected);
    assert_eq!(lane(f, [0.0], &far).unwrap_err(), expected);
    let text = expected.to_string();
    assert!(
        text.contains("dt = 2e-2") && text.contains("larger steps"),
        "{text}"
    );
    let limited = options(-1e15, -1e15 + 1.0).with_dt_max(0.02);
    assert!(matches!(
        run(f, [0.0], &limited).unwrap_err().error,
        SolveError::StepBelowResolution { name: "dt_max", .. }
    ));
    // What a step or two of the controller do is fine, and an empty span has no steps.
    let solution = run(f, [0.0], &options(-1e15, -1e15 + 1.0)).unwrap();
    assert!((solution.y[0] - 1.0).abs() < 1e-12);
    assert!(run(f, [0.0], &equal(1e15, 1e15, 0.02)).is_ok());
}

/// Running sums of `dt` from `t0`, `count` of them.
fn running(t0: f64, dt: f64, count: usize) -> Vec<f64> {
    let mut t = t0;
    (0..=count)
        .map(|_| {
            let now = t;
            t += dt;
            now
        })
        .collect()
}

#[test]
fn a_saved_time_that_rounding_took_out_of_the_span_is_its_end() {
    let f = |t: f64, y: &One| [t.cos() - 0.3 * y[0]];
    let mut grids: Vec<(f64, f64, Vec<f64>)> = vec![
        (0.0, 0.3, vec![0.1, 3.0 * 0.1]),
        (0.0, 0.3, vec![f64::from(0.1_f32), f64::from(0.3_f32)]),
        (0.0, 0.1, vec![f64::from(0.1_f32)]),
        (0.3, 0.0, vec![3.0 * 0.1, -5e-17]),
        (-0.1, 0.2, vec![-f64::from(0.1_f32), f64::from(0.2_f32)]),
    ];
    for count in 1..=100 {
        let end = f64::from(count) / 10.0;
        let up = running(0.0, 0.1, count as usize);
        grids.push((
            0.0,
            end,
            up.iter()
                .map(|t| if *t > end + 0.05 { end } else { *t })
                .collect(),
        ));
        grids.push((end, 0.0, running(end, -0.1, count as usize)));
        grids.push((
            0.0,
            end,
            (0..=count)
                .map(|i| f64::from(i as f32 * 0.1_f32).min(f64::from(end as f32)))
                .collect(),
        ));
    }
    for count in [1000, 5000] {
        let end = f64::from(count) * 0.001;
        grids.push((0.0, end, running(0.0, 0.001, count as usize)));
        grids.push((1e5, 1e5 + end, running(1e5, 0.001, count as usize)));
    }
    let outside = grids
        .iter()
        .filter(|(t0, t1, times)| {
            times
                .iter()
                .any(|t| !(t0.min(*t1)..=t0.max(*t1)).contains(t))
        })
        .count();
    assert!(
        outside > 60,
        "{outside} of {} leave their spans",
        grids.len()
    );
    for (t0, t1, times) in &grids {
        let options = options(*t0, *t1);
        let mut field = FnField::new(f);
        let (values, _) = solve_at(&mut field, &TSIT5, [1.0], times, &options, &mut ())
            .unwrap_or_else(|error| panic!("{t0}..{t1}: {error}"));
        let solution = Solve::new(&mut field, [1.0], &options)
            .save_at(SaveAt::times(times).with_dense())
            .run()
            .unwrap();
        assert_eq!((&solution.times, &solution.values), (times, &values));
        let sample = solve_per_sample(
            &FnField::new(f).batch_of::<16>(),
            &TSIT5,
            &[1.0],
            times,
            &options,
        )
        .unwrap();
        assert_eq!(sample.values.len(), values.len());
        let backward = t1 < t0;
        for ((t, value), in_lane) in times.iter().zip(&values).zip(&sample.values) {
            if if backward { t <= t1 } else { t >= t1 } {
                assert_eq!(value, &solution.y, "{t} of {t0}..{t1}");
                assert_eq!(solution.at(*t).unwrap(), solution.at(*t1).unwrap());
            }
            if if backward { t >= t0 } else { t <= t0 } {
                assert_eq!((value, *in_lane), (&[1.0], 1.0), "{t} of {t0}..{t1}");
            }
            assert!(
                (value[0] - in_lane).abs() < 1e-9,
                "{t} of {t0}..{t1}: {value:?} {in_lane}"
            );
        }
    }
}

#[test]
fn a_time_that_is_really_outside_is_refused_and_named() {
    let f = |_: f64, y: &One| [-y[0]];
    for (t0, t1, found) in [
        (0.0, 0.3, 0.3 + 1e-12),
        (0.0, 0.3, 0.300_000_01),
        (0.0, 0.3, 0.31),
        (0.0, 1.0, -1e-9),
        (0.0, 1.0, f64::from(1.0_f32.next_up())),
        (1e15, 1e15 + 1.0, 1e15 + 2.0),
        (1e9, 1e9 + 1.0, 1e9 - 0.5),
        (0.0, 1.0, f64::NAN),
    ] {
        let options = options(t0, t1);
        let error = solve_at(
            &mut FnField::new(f),
            &TSIT5,
            [1.0],
            &[found],
            &options,
            &mut (),
        )
        .unwrap_err();
        let SolveError::TimeOutsideSpan {
            index: 0,
            found: named,
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(named.to_bits(), found.to_bits());
    }
}

#[test]
fn every_adjoint_takes_the_cotangent_of_a_time_beside_an_end_for_one_of_the_end() {
    const DECAY: Field<1, 1> = Field {
        parameters: [-0.7],
        f: |t, y, [p]| [p * y[0] + t.cos()],
        products: |_, y, [p], c| ([p * c[0]], [y[0] * c[0]]),
    };
    let pull = |options: &SolveOptions, saved: &[f64], asked: &[f64]| {
        let mut field = DECAY;
        let (_, _, kept) = solve_keeping(&mut field, &TSIT5, [1.0], saved, options).unwrap();
        let cotangents: Vec<_> = asked
            .iter()
            .map(|t| Cotangent {
                t: *t,
                value: [1.0],
            })
            .collect();
        let pulled = kept.pull_back(&mut field, &cotangents).unwrap();
        (pulled.y_bar, pulled.theta_bar)
    };
    for adjoint in ADJOINTS {
        for (t0, t1, before, behind) in [
            (0.0, 0.3, -1e-17, 3.0 * 0.1),
            (0.3, 0.0, 0.3_f64.next_up(), -3e-17),
            (0.0, 0.3, 0.0, f64::from(0.3_f32)),
        ] {
            let options = options(t0, t1).with_adjoint(adjoint);
            let exact = [t0, 0.2, t1];
            let off = [before, 0.2, behind];
            let expected = pull(&options, &exact, &exact);
            assert_eq!(pull(&options, &off, &off), expected, "{adjoint:?}");
            assert_eq!(pull(&options, &exact, &off), expected, "{adjoint:?}");
            assert_eq!(pull(&options, &off, &exact), expected, "{adjoint:?}");
        }
    }
    // In lanes.
    let engine = FnField::new(|t: f64, y: &One| [t.cos() - 0.7 * y[0]]).batch_of::<16>();
    let _ = solve_per_sample_keeping(
        &engine,
        &TSIT5,
        &[1.0; 3],
        &[-1e-17, 3.0 * 0.1],
        &options(0.0, 0.3),
    )
    .unwrap();
}

#[test]
fn the_first_look_ahead_goes_no_farther_than_the_largest_step() {
    let farthest = RefCell::new(0.0_f64);
    let f = |t: f64, y: &One| {
        let mut most = farthest.borrow_mut();
        *most = most.max(t.abs());
        [-1e-3 * y[0]]
    };
    for direction in [1.0, -1.0] {
        *farthest.borrow_mut() = 0.0;
        let options = options(0.0, direction).with_dt_max(1e-6).with_max_steps(1);
        run(f, [1.0], &options).unwrap_err();
        assert!(*farthest.borrow() <= 1e-6, "asked at {}", farthest.borrow());
    }
    let farthest = std::sync::Mutex::new(0.0_f64);
    let f = |t: f64, y: &One| {
        let mut most = farthest.lock().unwrap();
        *most = most.max(t);
        [-1e-3 * y[0]]
    };
    lane(
        f,
        [1.0],
        &options(0.0, 1.0).with_dt_max(1e-6).with_max_steps(1),
    )
    .unwrap_err();
    assert!(*farthest.lock().unwrap() <= 1e-6);
}
