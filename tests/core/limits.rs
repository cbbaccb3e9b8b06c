//! Numbers at the end of their range, solutions that are not finite between two steps, and what is said of solves that the
//! limit of steps ends: stiffness has an error of its own.

use std::cell::Cell;

use crate::support::{equal, lane, options, run, One, ADJOINTS};
use neuralode_core::{
    engine::{solve_per_sample, HostEngine, Tiles},
    kernel::{activation::Tanh, field::Generated, DenseLayer},
    ode::{
        adjoint::{solve_keeping, Cotangent},
        error::Quantity,
        field::{Differentiable, Pushforward},
        method::{EULER, RK4, TSIT5},
        output::saved_points::solve_at,
        solve::record,
        SaveAt, Solve,
    },
    Controller, FnField, SolveError, SolveOptions, Solver,
};

#[test]
fn numbers_whose_squares_overflow_are_still_finite_numbers() {
    // `y' = -y / tau`: the field is 1e160 at the start, and the solution decays within a few steps of that size.
    let tau = 1e-160;
    let f = move |_: f64, y: &One| [-y[0] / tau];
    let solution = run(f, [1.0], &options(0.0, 2.0 * tau)).unwrap();
    assert!(
        (solution.y[0] - (-2.0_f64).exp()).abs() < 1e-6,
        "{:?}",
        solution.y
    );
    let sample = lane(f, [1.0], &options(0.0, 2.0 * tau)).unwrap();
    assert!((sample.values[0] / solution.y[0] - 1.0).abs() < 1e-12);
    // Over a span of 1 it is stiff, and with equal steps the state itself overflows.
    let long = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    assert!(matches!(
        run(f, [1.0], &long).unwrap_err().error,
        SolveError::Stiff { .. }
    ));
    assert!(matches!(
        lane(f, [1.0], &long).unwrap_err(),
        SolveError::Stiff { .. }
    ));
    for solver in [Solver::Euler, Solver::Rk4, Solver::Tsit5] {
        let failure = run(f, [1.0], &equal(0.0, 1.0, 0.1).with_solver(solver)).unwrap_err();
        assert!(
            matches!(
                failure.error,
                SolveError::NonFinite {
                    quantity: Quantity::Step,
                    ..
                }
            ),
            "{solver:?}: {failure:?}"
        );
        // A state of 1e159 is one.
        let solution = run(f, [1.0], &equal(0.0, 1e-161, 2e-162).with_solver(solver)).unwrap();
        assert!(
            (solution.y[0] - (-0.1_f64).exp()).abs() < 2e-3,
            "{solver:?}: {:?}",
            solution.y
        );
    }
    let euler = run(f, [1.0], &equal(0.0, 0.1, 0.1).with_solver(Solver::Euler)).unwrap();
    assert!((euler.y[0] / -1e159 - 1.0).abs() < 1e-12);
    // Errors that are large are no infinities, and a step is accepted if its state is finite.
    let kick = |t: f64, _: &One| [if t > 0.1 && t < 0.9 { 1e200 } else { 0.0 }];
    let heun = run(
        kick,
        [0.0],
        &equal(0.0, 1.0, 1.0).with_solver(Solver::Midpoint),
    )
    .unwrap();
    assert_eq!(heun.y[0], 1e200);
}

#[test]
fn a_solution_that_is_not_finite_inside_a_step_is_a_typed_error_wherever_it_is_asked_for() {
    // The field squares: in f32 it is infinite where the last step ends, which no error estimate of Rk4 sees.
    let f = |_: f64, y: &[f32; 1]| [y[0] * y[0]];
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3)
        .with_solver(Solver::Rk4)
        .with_controller(Controller::Constant { dt: 0.25 });
    let error = solve_at(
        &mut FnField::new(f),
        &RK4,
        [1.43],
        &[0.5, 0.9, 1.0],
        &options,
        &mut (),
    )
    .unwrap_err();
    let SolveError::NonFinite {
        quantity: Quantity::Interpolant,
        t,
        h,
        sample,
    } = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((t, h, sample), (0.9, 0.25, Some(0)));
    assert!(error.to_string().contains("inside a step"));
    // The end itself is finite.
    let (values, _) = solve_at(
        &mut FnField::new(f),
        &RK4,
        [1.43],
        &[0.5, 1.0],
        &options,
        &mut (),
    )
    .unwrap();
    assert!(values[1][0].is_finite());

    let mut field = FnField::new(f);
    let solution = Solve::new(&mut field, [1.43], &options)
        .save_at(SaveAt::end().with_dense())
        .run()
        .unwrap();
    assert!(matches!(
        solution.at(0.9),
        Err(SolveError::NonFinite { t: 0.9, .. })
    ));
    assert!(matches!(
        solution.derivative_at(0.9),
        Err(SolveError::NonFinite { t: 0.9, .. })
    ));
    assert!(solution.at(0.5).unwrap()[0].is_finite() && solution.at(1.0).unwrap()[0].is_finite());
    let failure = Solve::new(&mut field, [1.43], &options)
        .save_at(SaveAt::times(&[0.5, 0.9, 1.0]))
        .run()
        .unwrap_err();
    assert!(matches!(
        failure.error,
        SolveError::NonFinite { t: 0.9, .. }
    ));
    assert_eq!(failure.partial.times, [0.5]);

    let engine = FnField::new(f).batch_of::<32>();
    let y0 = [0.1, 0.2, 1.43, 0.3, 1.43];
    let error = solve_per_sample(&engine, &RK4, &y0, &[0.5, 0.9, 1.0], &options).unwrap_err();
    assert_eq!(
        error,
        SolveError::NonFinite {
            quantity: Quantity::Interpolant,
            t: 0.9,
            h: 0.25,
            sample: Some(2)
        }
    );
    let mut batch = FnField::new(f).batch_of::<32>();
    let error = solve_at(
        &mut batch,
        &RK4,
        Tiles::from_flat(1, &y0).unwrap(),
        &[0.5, 0.9],
        &options,
        &mut (),
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            SolveError::NonFinite {
                t: 0.9,
                sample: Some(2),
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn the_limit_of_steps_names_the_size_of_the_last_step() {
    let f = |t: f64, _: &One| [(5.0 * t).sin()];
    for steps in 1..12 {
        let options = SolveOptions::new(0.0, 100.0, 1e-5, 1e-5).with_max_steps(steps);
        let last = Cell::new(0.0);
        let mut field = FnField::new(f);
        let failure = Solve::new(&mut field, [1.0], &options)
            .on_step(|info| {
                last.set(info.h);
                core::ops::ControlFlow::Continue(())
            })
            .run()
            .unwrap_err();
        let SolveError::MaxSteps { h, .. } = failure.error else {
            panic!("{failure:?}");
        };
        assert_eq!(h, last.get());
        let SolveError::MaxSteps { h, .. } = lane(f, [1.0], &options).unwrap_err() else {
            panic!();
        };
        assert!((h / last.get() - 1.0).abs() < 1e-9);
    }
}

#[test]
fn a_stiff_field_is_called_stiff_and_no_other_is() {
    let robertson = |_: f64, y: &[f64; 3]| {
        let (slow, fast) = (0.04 * y[0] - 1e4 * y[1] * y[2], 3e7 * y[1] * y[1]);
        [-slow, slow - fast, fast]
    };
    let pendulum =
        |mu: f64| move |_: f64, y: &[f64; 2]| [y[1], mu * (1.0 - y[0] * y[0]) * y[1] - y[0]];
    for solver in [
        Solver::Heun,
        Solver::Bosh3,
        Solver::Dopri5,
        Solver::Tsit5,
        Solver::Vern7,
        Solver::Dopri8,
    ] {
        for tolerance in [1e-3, 1e-5] {
            for max_steps in [1000, 4096] {
                let options = |t1| {
                    SolveOptions::new(0.0, t1, tolerance, 1e-6 * tolerance)
                        .with_solver(solver)
                        .with_max_steps(max_steps)
                };
                let name = format!("{solver:?} {tolerance:e} {max_steps}");
                let mut field = FnField::new(robertson);
                let error = Solve::new(&mut field, [1.0, 0.0, 0.0], &options(1e4))
                    .run()
                    .unwrap_err()
                    .error;
                let SolveError::Stiff {
                    h,
                    decay,
                    limit,
                    steps,
                    ..
                } = error
                else {
                    panic!("{name}: {error:?}");
                };
                assert!(
                    h > 0.0 && decay > 0.5 * limit && steps == max_steps,
                    "{error:?}"
                );
                let text = error.to_string();
                assert!(
                    text.contains("stiff") && !text.contains("max_steps"),
                    "{text}"
                );
                let mut field = FnField::new(|t: f64, y: &One| [-1e6 * (y[0] - t.cos())]);
                let error = Solve::new(&mut field, [1.0], &options(10.0))
                    .run()
                    .unwrap_err()
                    .error;
                assert!(
                    matches!(error, SolveError::Stiff { .. }),
                    "{name}: {error:?}"
                );
                // Long oscillations need many steps for what they do.
                let mut field = FnField::new(|_, y: &[f64; 2]| [-y[1], y[0]]);
                let error = Solve::new(&mut field, [1.0, 0.0], &options(1e6))
                    .run()
                    .unwrap_err()
                    .error;
                assert!(
                    matches!(error, SolveError::MaxSteps { .. }),
                    "{name}: {error:?}"
                );
                let mut field = FnField::new(pendulum(0.2));
                let error = Solve::new(&mut field, [2.0, 0.0], &options(1e6))
                    .run()
                    .unwrap_err()
                    .error;
                assert!(
                    matches!(error, SolveError::MaxSteps { .. }),
                    "{name}: {error:?}"
                );
            }
        }
    }
}

#[test]
fn a_stiff_sample_in_a_lane_sees_what_it_sees_alone_and_equal_steps_say_nothing() {
    let f = |t: f64, y: &One| [-1e6 * (y[0] - t.cos())];
    let options = SolveOptions::new(0.0, 10.0, 1e-3, 1e-3);
    let mut alone = FnField::new(f).batch_of::<32>();
    let alone = record(
        &mut alone,
        &TSIT5,
        Tiles::from_rows(&[[1.0]]),
        &options,
        &mut (),
    )
    .unwrap_err();
    let SolveError::Stiff {
        t,
        t1,
        h,
        decay,
        limit,
        steps,
        ..
    } = alone
    else {
        panic!("{alone:?}");
    };
    let in_lane = lane(f, [1.0], &options).unwrap_err();
    let SolveError::Stiff {
        decay: as_in_lane, ..
    } = in_lane
    else {
        panic!("{in_lane:?}");
    };
    assert!(
        (as_in_lane / decay - 1.0).abs() < 1e-4,
        "{as_in_lane} {decay}"
    );
    let decay = as_in_lane;
    assert_eq!(
        in_lane,
        SolveError::Stiff {
            t,
            t1,
            h,
            decay,
            limit,
            steps,
            sample: Some(0)
        }
    );
    // Equal steps that are too many are too many, whatever the field.
    let options = options
        .with_controller(Controller::Constant { dt: 1e-7 })
        .with_max_steps(10);
    let error = record(&mut FnField::new(f), &EULER, [1.0], &options, &mut ()).unwrap_err();
    assert!(matches!(error, SolveError::MaxSteps { .. }));
}

#[test]
fn tiles_of_other_features_than_the_field_has_are_a_typed_error() {
    let incomplete = Tiles::<f64, 16>::from_flat(2, &[1.0, 2.0, 3.0]);
    assert_eq!(
        incomplete.err(),
        Some(SolveError::ShapeMismatch {
            expected: vec![2, 2],
            found: vec![3]
        })
    );
    let mut field = FnField::new(|_, y: &[f64; 2]| [y[1], -y[0]]).batch_of::<16>();
    let failure = Solve::new(
        &mut field,
        Tiles::from_rows(&[[1.0]; 5]),
        &options(0.0, 1.0),
    )
    .run();
    assert_eq!(
        failure.unwrap_err().error,
        SolveError::ShapeMismatch {
            expected: vec![2],
            found: vec![1]
        }
    );
}

/// `y' = tanh(W y + b)` over tiles.
fn network() -> HostEngine<Generated<DenseLayer<Tanh>, f64>, f64, 2, 16> {
    HostEngine::new(vec![0.3, -0.2, 0.1, 0.4, 0.0, 0.1]).unwrap()
}

#[test]
fn cotangents_and_tangents_of_another_shape_than_the_solution_are_a_typed_error() {
    let starts = [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]];
    let wrong: [Tiles<f64, 16>; 4] = [
        Tiles::from_rows(&[[1.0, 1.0]; 2]),
        Tiles::from_rows(&[[1.0, 1.0]; 40]),
        Tiles::from_rows(&[[1.0]; 6]),
        Tiles::from_rows(&[[1.0; 3]; 2]),
    ];
    let mut field = network();
    let is_misfit = |error: SolveError| match error {
        SolveError::ShapeMismatch { expected, .. } => expected == [3, 2] || expected == [2],
        _ => false,
    };
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6).with_adjoint(adjoint);
        let y0 = Tiles::from_rows(&starts);
        let kept = solve_keeping(&mut field, &TSIT5, y0, &[0.5, 1.0], &options);
        let (values, _, kept) = kept.unwrap();
        for wrong in &wrong {
            let cotangent = |t: f64, value: &Tiles<f64, 16>| Cotangent {
                t,
                value: value.clone(),
            };
            let right = Tiles::from_rows(&[[1.0, 1.0]; 3]);
            for given in [
                vec![cotangent(0.5, wrong)],
                vec![cotangent(1.0, wrong)],
                vec![cotangent(0.5, wrong), cotangent(1.0, &right)],
                vec![cotangent(0.5, &right), cotangent(1.0, wrong)],
            ] {
                let error = kept.pull_back(&mut field, &given).unwrap_err();
                assert!(is_misfit(error.clone()), "{adjoint:?}: {error}");
            }
        }
        // Places of no sample count for nothing, whatever stands there.
        let mut of = |value: Tiles<f64, 16>| {
            let pulled = kept.pull_back(&mut field, &[Cotangent { t: 1.0, value }]);
            pulled.unwrap().theta_bar.0
        };
        let ones = || Tiles::from_rows(&[[1.0, 1.0]; 3]);
        assert_eq!(of(ones()), of(ones().with_empty_padding()), "{adjoint:?}");
        assert_eq!(values.len(), 2);
    }
    for wrong in &wrong {
        let y = Tiles::from_rows(&starts);
        let (mut out, rest) = (y.clone(), field.zero_params().unwrap());
        let error = field.jvp(0.0, &y, wrong, &rest, &mut out).unwrap_err();
        assert!(is_misfit(error.clone()), "{error}");
        let (mut y_bar, mut theta_bar) = (y.clone(), rest.clone());
        let error = field.vjp(0.0, &y, wrong, &mut y_bar, &mut theta_bar);
        assert!(is_misfit(error.unwrap_err()));
    }
}
