//! Limits of steps, stops and jumps, and fields that are none.

use super::*;

#[test]
fn steps_stay_below_the_largest_size() {
    for controller in [
        Controller::I,
        Controller::PI,
        Controller::Constant { dt: 0.7 },
    ] {
        for (t0, t1) in SPANS {
            let options = SolveOptions::new(t0, t1, 1e-3, 1e-3)
                .with_controller(controller)
                .with_dt_max(0.1);
            let (ends, y) = plain(&options);
            let sizes: Vec<f64> = [t0]
                .iter()
                .chain(&ends)
                .zip(&ends)
                .map(|(a, b)| (b - a).abs())
                .collect();
            assert!(sizes.iter().all(|h| *h <= 0.1 * (1.0 + 1e-9)), "{sizes:?}");
            assert!(distance(&y, exact(t1)) < 1e-6);
            // Rounding does not add a step.
            assert!(
                ends.len() <= ((t1 - t0).abs() / 0.1).round() as usize + 3,
                "{}",
                ends.len()
            );
        }
    }
}

#[test]
fn a_step_that_has_to_be_below_the_smallest_size_is_a_typed_error_with_its_numbers() {
    let options = SolveOptions::new(0.0, 2.0, 1e-8, 1e-8).with_dt_min(1e-3);
    let mut field = FnField::new(pole);
    let failure = Solve::new(&mut field, [1.0], &options).run().unwrap_err();
    let SolveError::StepTooSmall {
        t,
        h,
        minimum,
        error,
        ..
    } = failure.error
    else {
        panic!("{:?}", failure.error);
    };
    assert_eq!(minimum, 1e-3);
    assert!(
        h >= 1e-3 && error > 1.0 && (0.8..1.0).contains(&t),
        "{failure:?}"
    );
    assert!(failure.error.to_string().contains("dt_min"));
    // What needs no smaller step is solved, be its last one smaller.
    let options = SolveOptions::new(0.0, 1.000_01, 1e-6, 1e-6)
        .with_dt_min(0.05)
        .with_dt_max(0.1);
    assert!(rotate(&options, |solve| solve).is_ok());
}

#[test]
fn step_limits_out_of_their_domain_are_typed_errors() {
    let base = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6);
    for found in [0.0, -1.0, f64::INFINITY] {
        for options in [
            base.clone().with_dt_min(found),
            base.clone().with_dt_max(found),
        ] {
            let error = rotate(&options, |solve| solve).unwrap_err().error;
            assert_eq!(error, SolveError::InvalidStepSize { found });
        }
    }
    let options = base.clone().with_dt_min(0.2).with_dt_max(0.1);
    let error = rotate(&options, |solve| solve).unwrap_err().error;
    assert_eq!(
        error,
        SolveError::InvalidStepLimits {
            dt_min: 0.2,
            dt_max: 0.1
        }
    );
    for (times, index) in [([0.1, 0.05], 1), ([f64::NEG_INFINITY, 0.5], 0)] {
        let error = rotate(&base, |solve| solve.step_at(&times))
            .unwrap_err()
            .error;
        let found = times[index];
        assert_eq!(
            error,
            SolveError::InvalidStop {
                name: "step_at",
                index,
                found
            }
        );
        let error = rotate(&base, |solve| solve.jump_at(&times))
            .unwrap_err()
            .error;
        assert_eq!(
            error,
            SolveError::InvalidStop {
                name: "jump_at",
                index,
                found
            }
        );
    }
    assert!(rotate(&base, |solve| solve.jump_at(&[f64::NAN])).is_err());
}

#[test]
fn steps_end_at_the_stops_and_controllers_go_on_as_if_none_were_there() {
    let controllers = [
        Controller::I,
        Controller::PI,
        Controller::Pid {
            p: 0.2,
            i: 0.4,
            d: 0.0,
        },
        Controller::Constant { dt: 0.3 },
    ];
    for controller in controllers {
        for (t0, t1) in SPANS {
            let options = SolveOptions::new(t0, t1, 1e-6, 1e-6).with_controller(controller);
            // Some are outside the span, some at its ends, and one is there twice.
            let stops = [
                -7.0,
                -1.5,
                -0.2,
                0.0,
                0.1,
                0.100_000_001,
                0.5,
                0.5,
                1.7,
                2.0,
                5.0,
                9.0,
            ];
            let free = rotate(&options, |solve| solve).unwrap();
            let save_at = SaveAt::nothing().with_every_step();
            let solution =
                rotate(&options, |solve| solve.step_at(&stops).save_at(save_at)).unwrap();
            let inside: Vec<f64> = stops
                .into_iter()
                .filter(|stop| t0.min(t1) < *stop && *stop < t0.max(t1))
                .collect();
            assert!(
                inside.iter().all(|stop| solution.times.contains(stop)),
                "{:?}",
                solution.times
            );
            for (t, value) in solution.times.iter().zip(&solution.values) {
                assert!(distance(value, exact(*t)) < 1e-4, "{t}");
            }
            let most = free.stats.accepted + 2 * inside.len();
            assert!(
                solution.stats.accepted <= most,
                "{controller:?}: {} steps with stops, {} without",
                solution.stats.accepted,
                free.stats.accepted
            );
        }
    }
}

/// `dy/dt = p0 y` before the time 0.5, and `p1 y` from then on.
const SWITCH: Field<1, 2> = Field {
    parameters: [1.3, -0.7],
    f: |t, y, p| [y[0] * if t < 0.5 { p[0] } else { p[1] }],
    products: |t, y, p, c| {
        if t < 0.5 {
            ([c[0] * p[0]], [c[0] * y[0], 0.0])
        } else {
            ([c[0] * p[1]], [0.0, c[0] * y[0]])
        }
    },
};

/// Solves over `(t0, t1)` and returns the sides of the jump that each step saw.
fn sides(t0: f64, t1: f64, jump: f64, options: &SolveOptions) -> (Solution<[f64; 1]>, usize) {
    let now = RefCell::new((false, false));
    let mixed = RefCell::new(0);
    let on_jump = RefCell::new(0);
    let mut field = FnField::new(|t: f64, _: &[f64; 1]| {
        let mut now = now.borrow_mut();
        if t == jump {
            *on_jump.borrow_mut() += 1;
        }
        if t < jump {
            now.0 = true;
            [1.0]
        } else {
            now.1 = true;
            [-3.0]
        }
    });
    let mut options = options.clone();
    (options.t0, options.t1) = (t0, t1);
    let save_at = SaveAt::end().with_every_step();
    let solution = Solve::new(&mut field, [0.0], &options)
        .jump_at(&[jump])
        .save_at(save_at)
        .on_step(|_| {
            let seen = now.replace((false, false));
            *mixed.borrow_mut() += usize::from(seen == (true, true));
            ControlFlow::Continue(())
        })
        .run()
        .unwrap();
    assert_eq!(
        on_jump.into_inner(),
        0,
        "the field is never evaluated on its jump"
    );
    (solution, mixed.into_inner())
}

#[test]
fn no_step_sees_both_sides_of_a_jump_whatever_the_numbers() {
    let mut checked = 0;
    for controller in [
        Controller::I,
        Controller::PI,
        Controller::Constant { dt: 0.037 },
    ] {
        let options = SolveOptions::new(0.0, 1.0, 1e-8, 1e-8).with_controller(controller);
        for jump in [0.5, 0.1, 0.0, 1.0 / 3.0, 0.7 - 1e-13, -0.3, 1e-12] {
            for (t0, t1) in [
                (-1.0, 1.0),
                (1.0, -1.0),
                (-0.9, 0.77),
                (1.1, -0.4),
                (jump, 2.0),
                (jump, -2.0),
                (2.0, jump),
            ] {
                let (solution, mixed) = sides(t0, t1, jump, &options);
                let slope = |a: f64, b: f64| {
                    (b.min(jump) - a.min(jump)) - 3.0 * (b.max(jump) - a.max(jump))
                };
                let error = (solution.y[0] - slope(t0, t1)).abs();
                assert!(
                    error < 1e-13,
                    "{controller:?}, {jump}, {t0}..{t1}: {error:e}"
                );
                // The first step after a jump has a stage from before it in the same interval between two hooks: the
                // restart itself is after the hook, so that none is mixed.
                assert_eq!(mixed, 0, "{controller:?}, {jump}, {t0}..{t1}");
                assert_eq!(solution.stats.rejected, 0);
                assert_eq!(solution.t, t1);
                checked += 1;
            }
        }
    }
    assert_eq!(checked, 147);
}

#[test]
fn a_jump_that_is_named_costs_no_rejected_step_and_one_that_is_not_costs_many() {
    let run = |jumps: &[f64]| {
        let options = SolveOptions::new(0.0, 1.0, 1e-9, 1e-9);
        let mut field = SWITCH;
        let solution = Solve::new(&mut field, [2.0], &options)
            .jump_at(jumps)
            .run()
            .unwrap();
        let exact = 2.0 * (0.5 * (1.3 - 0.7_f64)).exp();
        ((solution.y[0] / exact - 1.0).abs(), solution.stats)
    };
    let (error, stats) = run(&[0.5]);
    let (_, unnamed) = run(&[]);
    println!("{error:e}, {stats:?}, without {unnamed:?}");
    assert!(error < 1e-9 && stats.rejected == 0);
    assert!(unnamed.rejected > 5);
}

#[test]
fn neighbouring_jumps_and_jumps_at_both_ends_are_met() {
    let up = f64::next_up;
    let jumps = [0.0, 0.25, up(0.25), up(up(0.25)), 0.5, 0.5, 1.0];
    for (t0, t1) in [(0.0, 1.0), (1.0, 0.0), (up(0.25), 0.25), (0.25, up(0.25))] {
        let options = SolveOptions::new(t0, t1, 1e-8, 1e-8);
        let mut field = FnField::new(|t, _: &[f64; 1]| {
            assert!(!jumps.contains(&t), "{t} is a jump");
            [1.0]
        });
        let save_at = SaveAt::times(&[t0, t1]);
        let solution = Solve::new(&mut field, [t0], &options)
            .jump_at(&jumps)
            .step_at(&[0.25_f64.next_down(), 0.5, 0.5_f64.next_up()])
            .save_at(save_at)
            .run()
            .unwrap();
        assert_eq!((solution.t, solution.ended), (t1, Ended::AtEnd));
        assert_eq!(solution.times, [t0, t1]);
        assert!((solution.y[0] - t1).abs() < 1e-15);
    }
}

fn jump_gradients<const S: usize>(tableau: &'static ButcherTableau<S>) {
    for (t0, t1) in [(0.0, 1.25), (1.25, -0.25)] {
        // Before, at and behind the jump.
        for times in [
            vec![t1],
            vec![0.5, t1],
            vec![t0 + 0.1 * (t1 - t0), t0 + 0.8 * (t1 - t0)],
            vec![t0, 0.5],
        ] {
            for adjoint in ADJOINTS {
                let options = SolveOptions::new(t0, t1, 1e-13, 1e-13)
                    .with_adjoint(adjoint)
                    .with_step_at(vec![0.25, 0.75])
                    .with_jump_at(vec![0.5]);
                let mut field = SWITCH;
                let (values, _, kept) =
                    solve_keeping(&mut field, tableau, [2.0], &times, &options).unwrap();
                let cotangents: Vec<_> = times
                    .iter()
                    .map(|t| Cotangent {
                        t: *t,
                        value: [1.0],
                    })
                    .collect();
                let found = kept.pull_back(&mut field, &cotangents).unwrap();
                let mut expected = [0.0; 3];
                for (t, value) in times.iter().zip(&values) {
                    // The times spent on either side.
                    let (a, b) = (t.min(0.5) - t0.min(0.5), t.max(0.5) - t0.max(0.5));
                    let y = 2.0 * (1.3 * a - 0.7 * b).exp();
                    assert!((value[0] / y - 1.0).abs() < 1e-10, "{t}");
                    expected[0] += y / 2.0;
                    expected[1] += a * y;
                    expected[2] += b * y;
                }
                let found = [found.y_bar[0], found.theta_bar[0], found.theta_bar[1]];
                let error = relative_error(&found, &expected);
                assert!(
                    error < 1e-9,
                    "{}, {adjoint:?}, {t0}..{t1}, {times:?}: {error:e}",
                    tableau.name
                );
            }
        }
    }
}

#[test]
fn every_adjoint_has_the_gradient_of_a_field_that_jumps() {
    jump_gradients(&TSIT5);
    jump_gradients(&DOPRI8);
}

#[test]
fn checkpoints_have_the_bits_of_the_discrete_adjoint_across_stops_and_jumps() {
    let gradient = |adjoint| {
        let options = SolveOptions::new(0.0, 40.0, 1e-6, 1e-6)
            .with_adjoint(adjoint)
            .with_step_at((1..30).map(f64::from).collect::<Vec<_>>())
            .with_jump_at(vec![0.5, 20.1, 35.0]);
        let mut field = SWITCH;
        field.parameters = [0.1, -0.1];
        let (_, _, kept) = solve_keeping(&mut field, &TSIT5, [2.0], &[40.0], &options).unwrap();
        let pulled = kept
            .pull_back(
                &mut field,
                &[Cotangent {
                    t: 40.0,
                    value: [1.0],
                }],
            )
            .unwrap();
        (pulled.y_bar, pulled.theta_bar)
    };
    let expected = gradient(Adjoint::Discrete);
    for bytes in [9000, 10_000, 20_000, 10_000_000] {
        assert_eq!(
            gradient(Adjoint::Checkpointed { bytes }),
            expected,
            "{bytes}"
        );
    }
}

#[test]
fn bad_fields_are_typed_errors_in_bounded_time() {
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6);
    let fields: [(&str, fn(f64, &[f64; 1]) -> [f64; 1]); 7] = [
        ("explodes", |_, y| [1e3 * y[0] * y[0] + 1.0]),
        ("NaN behind a time", |t, _| {
            [if t > 0.5 { f64::NAN } else { 1.0 }]
        }),
        ("infinite behind a time", |t, _| {
            [if t > 0.5 { f64::INFINITY } else { 1.0 }]
        }),
        ("stiff beyond reach", |_, y| [-1e12 * (y[0] - 0.5)]),
        ("a wall of noise", |t, _| [1e9 * (1e9 * t).sin()]),
        ("overflows at once", |_, _| [f64::MAX]),
        ("a singularity", |t, _| [1.0 / (t - 0.3)]),
    ];
    for (name, f) in fields {
        let mut field = FnField::new(f);
        let solved = Solve::new(&mut field, [1.0], &options).run();
        let failure = solved.err().unwrap_or_else(|| panic!("{name} was solved"));
        let (t, h) = match failure.error {
            SolveError::NonFinite { t, h, .. } => (t, h),
            SolveError::StepTooSmall { t, h, error, .. } => {
                assert!(error > 1.0, "{name}");
                (t, h)
            }
            SolveError::MaxSteps { t, h, steps, .. } | SolveError::Stiff { t, h, steps, .. } => {
                assert_eq!(steps, 4096);
                (t, h)
            }
            other => panic!("{name}: {other:?}"),
        };
        println!("{name}: {failure}");
        assert!(
            (0.0..1.0).contains(&t) && (0.0..=1.0).contains(&h),
            "{name}: {failure:?}"
        );
        assert_eq!(failure.partial.t, t, "{name}");
        assert!(failure.partial.y[0].is_finite(), "{name}");
    }
}

#[test]
fn step_sizes_below_every_resolution_are_no_hang_and_no_panic() {
    for dt in [f64::MIN_POSITIVE, 5e-324, 1e-300] {
        let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6);
        let adaptive = rotate(&options.clone().with_dt0(dt), |solve| solve).unwrap();
        assert!(distance(&adaptive.y, exact(1.0)) < 1e-4);
        let equal = options.clone().with_controller(Controller::Constant { dt });
        let failure = rotate(&equal, |solve| solve).unwrap_err();
        assert!(
            matches!(failure.error, SolveError::MaxSteps { .. }),
            "{failure:?}"
        );
        let limited = options.clone().with_dt_max(dt);
        let failure = rotate(&limited, |solve| solve).unwrap_err();
        assert!(
            matches!(
                failure.error,
                SolveError::MaxSteps { .. } | SolveError::StepTooSmall { .. }
            ),
            "{failure:?}"
        );
    }
    // Subnormal spans.
    let options = SolveOptions::new(0.0, 5e-324, 1e-6, 1e-6);
    assert_eq!(rotate(&options, |solve| solve).unwrap().t, 5e-324);
    // One unit in the last place of time is more than any field moves in.
    let options = SolveOptions::new(1e300, 1e300_f64.next_up(), 1e-6, 1e-6);
    let failure = rotate(&options, |solve| solve).unwrap_err();
    assert!(
        matches!(
            failure.error,
            SolveError::StepTooSmall { .. } | SolveError::NonFinite { .. }
        ),
        "{failure:?}"
    );
}

#[test]
fn a_tolerance_below_the_resolution_of_f32_is_a_typed_error() {
    let mut field = FnField::new(|_, y: &[f32; 1]| [-y[0]]);
    let options = SolveOptions::new(0.0, 1.0, 1e-8, 1e-8);
    let failure = Solve::new(&mut field, [1.0_f32], &options)
        .run()
        .unwrap_err();
    let SolveError::InvalidTolerance {
        name: "rtol",
        minimum,
        ..
    } = failure.error
    else {
        panic!("{failure:?}");
    };
    assert!((minimum / f64::from(f32::EPSILON) - 4.0).abs() < 1e-12);
    // An absolute one alone is met where the solution is small enough.
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-30);
    assert!(Solve::new(&mut field, [1.0_f32], &options).run().is_ok());
}

#[test]
fn every_method_runs_by_its_name() {
    for solver in Solver::ALL {
        let mut options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6).with_solver(solver);
        if !solver.adaptive() {
            options = options.with_controller(Controller::Constant { dt: 1e-3 });
        }
        let solution = rotate(&options, |solve| solve.save_at(SaveAt::end().with_dense())).unwrap();
        assert!(distance(&solution.y, exact(1.0)) < 1e-3, "{solver:?}");
        assert!(
            distance(&solution.at(0.5).unwrap(), exact(0.5)) < 1e-3,
            "{solver:?}"
        );
    }
}
