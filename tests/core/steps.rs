//! Tsit5, its dense output, the controllers and the loop, on problems with known solutions.

use neuralode_core::{
    ode::{
        field::VectorField,
        method::TSIT5,
        options::Tolerances,
        solve::{record, Solved},
        stepper::ExplicitRk,
        trajectory::Trajectory,
    },
    Controller, FnField, SolveError, SolveOptions,
};

/// A field given as a closure over plain arrays; counts its calls.
struct Closure<const N: usize, F> {
    f: F,
    calls: usize,
}

impl<const N: usize, F: FnMut(f64, [f64; N]) -> [f64; N]> VectorField for Closure<N, F> {
    type State = [f64; N];

    fn eval(&mut self, t: f64, y: &[f64; N], dy: &mut [f64; N]) -> Result<(), SolveError> {
        self.calls += 1;
        *dy = (self.f)(t, *y);
        Ok(())
    }
}

fn run<const N: usize>(
    f: impl FnMut(f64, [f64; N]) -> [f64; N],
    y0: [f64; N],
    options: &SolveOptions,
) -> Result<(Solved<[f64; N]>, usize), SolveError> {
    let mut field = Closure { f, calls: 0 };
    let solution = record(&mut field, &TSIT5, y0, options, &mut ())?;
    Ok((solution, field.calls))
}

/// Slope of log(error) over log(h) by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(h, e)| (h.ln(), e.ln())).collect();
    let n = logs.len() as f64;
    let mean_x = logs.iter().map(|p| p.0).sum::<f64>() / n;
    let mean_y = logs.iter().map(|p| p.1).sum::<f64>() / n;
    let covariance: f64 = logs.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let variance: f64 = logs.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    covariance / variance
}

/// DETEST A3: `y' = y cos t`, `y = exp(sin t)` from 1.
fn a3(t: f64, [y]: [f64; 1]) -> [f64; 1] {
    [y * t.cos()]
}

#[test]
fn one_step_gives_the_published_numbers() {
    let mut field = Closure {
        f: |_, [y]: [f64; 1]| [-y],
        calls: 0,
    };
    let y0 = [1.0];
    let mut stepper = ExplicitRk::new(&mut field, &TSIT5, 0.0, y0).unwrap();
    // With rtol = 0 and atol = 1 the scaled error is the error estimate itself.
    let error = stepper
        .attempt(
            0.1,
            &Tolerances {
                rtol: 0.0,
                atol: 1.0,
            },
        )
        .unwrap();
    assert!((error - 4.422_887_005e-9).abs() < 1e-16, "{error:e}");
    assert!((stepper.y1()[0] - 0.904_837_418_098_877_97).abs() < 1e-15);
    let mut middle = y0;
    stepper.interpolate(0.5, &mut middle).unwrap();
    assert!((middle[0] - 0.951_229_423_296_219_62).abs() < 1e-15);
}

#[test]
fn equal_steps_converge_with_order_five() {
    let mut points = Vec::new();
    for steps in [10, 20, 40, 80] {
        let dt = 2.0 / f64::from(steps);
        let options =
            SolveOptions::new(0.0, 2.0, 1e-6, 1e-6).with_controller(Controller::Constant { dt });
        let (solution, calls) = run(a3, [1.0], &options).unwrap();
        assert_eq!(solution.accepted, steps as usize);
        assert_eq!(calls, 1 + 6 * steps as usize);
        let error = (solution.y[0] - 2.0_f64.sin().exp()).abs();
        points.push((dt, error));
    }
    let order = slope(&points);
    // The leading error term nearly cancels on this problem: the published slopes are 5.4 to 5.8.
    assert!((5.0..6.0).contains(&order), "{order}: {points:?}");
}

#[test]
fn equal_steps_converge_with_order_five_on_a_nonlinear_system() {
    // A rotation whose speed depends on the radius: y = r (cos w t, sin w t) with w = r^2.
    let f = |_: f64, [x, y]: [f64; 2]| {
        let w = x * x + y * y;
        [-w * y, w * x]
    };
    let mut points = Vec::new();
    for steps in [20, 40, 80, 160] {
        let dt = 2.0 / f64::from(steps);
        let options =
            SolveOptions::new(0.0, 2.0, 1e-6, 1e-6).with_controller(Controller::Constant { dt });
        let (solution, _) = run(f, [1.2, 0.0], &options).unwrap();
        let angle = 1.2 * 1.2 * 2.0_f64;
        let [x, y] = solution.y;
        points.push((dt, (x - 1.2 * angle.cos()).hypot(y - 1.2 * angle.sin())));
    }
    let order = slope(&points);
    assert!((order - 5.0).abs() < 0.25, "{order}: {points:?}");
}

#[test]
fn dense_output_of_one_step_converges_with_local_order_five() {
    // An interpolant of order 4 has an error of h^5 inside a step that starts from exact values.
    let exact = |t: f64| t.sin().exp();
    let mut points = Vec::new();
    for h in [0.2, 0.1, 0.05, 0.025] {
        let mut field = Closure { f: a3, calls: 0 };
        let y0 = [exact(0.3)];
        let mut stepper = ExplicitRk::new(&mut field, &TSIT5, 0.3, y0).unwrap();
        stepper
            .attempt(
                h,
                &Tolerances {
                    rtol: 1e-3,
                    atol: 1e-3,
                },
            )
            .unwrap();
        let mut worst: f64 = 0.0;
        for theta in [0.2, 0.4, 0.6, 0.8] {
            let mut y = y0;
            stepper.interpolate(theta, &mut y).unwrap();
            worst = worst.max((y[0] - exact(0.3 + theta * h)).abs());
        }
        points.push((h, worst));
    }
    let order = slope(&points);
    assert!((order - 5.0).abs() < 0.25, "{order}: {points:?}");
}

#[test]
fn dense_output_is_continuous_and_meets_every_step() {
    let options = SolveOptions::new(0.0, 5.0, 1e-6, 1e-6);
    let mut field = Closure { f: a3, calls: 0 };
    let y0 = [1.0];
    let mut trajectory = Trajectory::new(&TSIT5);
    let solution = record(&mut field, &TSIT5, y0, &options, &mut trajectory).unwrap();
    assert_eq!(trajectory.steps().len(), solution.accepted);
    let at = |t: f64| {
        let mut y = y0;
        trajectory.evaluate(t, &mut y).unwrap();
        y[0]
    };
    for step in trajectory.steps() {
        let y = step.y[0];
        assert!((at(step.t) - y).abs() < 1e-14);
        assert!((at(step.t + 1e-12) - y).abs() < 1e-10);
    }
    assert!((at(5.0) - solution.y[0]).abs() < 1e-14);
    for k in 0..=100 {
        let t = f64::from(k) * 0.05;
        assert!((at(t) - t.sin().exp()).abs() < 2e-5, "{t}");
    }
}

#[test]
fn every_field_call_is_counted_and_the_count_follows_from_the_steps() {
    for (controller, tolerance) in [
        (Controller::I, 1e-3),
        (Controller::I, 1e-9),
        (Controller::PI, 1e-3),
        (Controller::PI, 1e-9),
    ] {
        let options =
            SolveOptions::new(0.0, 20.0, tolerance, tolerance).with_controller(controller);
        let (solution, calls) = run(a3, [1.0], &options).unwrap();
        assert_eq!(solution.field_calls, calls);
        assert_eq!(calls, 2 + 6 * (solution.accepted + solution.rejected));
    }
}

#[test]
fn step_counts_are_those_of_the_published_controllers() {
    // Accepted and rejected steps of diffrax's I rule and of OrdinaryDiffEq.jl's PI rule.
    type Field = fn(f64, [f64; 1]) -> [f64; 1];
    let decay: Field = |_, [y]| [-y];
    let table: [(Field, f64, f64, [usize; 2], [usize; 2]); 5] = [
        (decay, 1.0, 1e-3, [2, 0], [4, 0]),
        (decay, 1.0, 1e-6, [5, 0], [9, 0]),
        (decay, 1.0, 1e-9, [14, 0], [22, 0]),
        (decay, 10.0, 1e-6, [20, 0], [31, 0]),
        (a3, 20.0, 1e-6, [65, 22], [78, 3]),
    ];
    for (f, end, tolerance, integral, proportional) in table {
        for (controller, [accepted, rejected]) in
            [(Controller::I, integral), (Controller::PI, proportional)]
        {
            let options =
                SolveOptions::new(0.0, end, tolerance, tolerance).with_controller(controller);
            let (found, _) = run(f, [1.0], &options).unwrap();
            assert!(
                found.accepted.abs_diff(accepted) <= 1 && found.rejected.abs_diff(rejected) <= 1,
                "{controller:?} to {end} at {tolerance:e}: {} + {} steps, not {accepted} + {rejected}",
                found.accepted,
                found.rejected
            );
        }
    }
}

#[test]
fn errors_stay_within_a_hundred_tolerances_on_the_detest_problems() {
    type Field = fn(f64, [f64; 1]) -> [f64; 1];
    let problems: [(&str, Field, f64, f64); 4] = [
        ("A1", |_, [y]| [-y], 1.0, (-20.0_f64).exp()),
        (
            "A2",
            |_, [y]| [-y.powi(3) / 2.0],
            1.0,
            1.0 / 21.0_f64.sqrt(),
        ),
        ("A3", a3, 1.0, 20.0_f64.sin().exp()),
        (
            "A4",
            |_, [y]| [y / 4.0 * (1.0 - y / 20.0)],
            1.0,
            20.0 / (1.0 + 19.0 * (-5.0_f64).exp()),
        ),
    ];
    for (name, f, y0, exact) in problems {
        for controller in [Controller::I, Controller::PI] {
            for tolerance in [1e-6, 1e-9] {
                let options =
                    SolveOptions::new(0.0, 20.0, tolerance, tolerance).with_controller(controller);
                let (solution, _) = run(f, [y0], &options).unwrap();
                let error = (solution.y[0] - exact).abs();
                assert!(
                    error <= 100.0 * tolerance,
                    "{name} {controller:?} {tolerance:e}: {error:e}"
                );
            }
        }
    }
}

#[test]
fn reversed_time_mirrors_the_solution_bit_for_bit() {
    for controller in [Controller::I, Controller::PI] {
        let forward = SolveOptions::new(0.3, 4.0, 1e-6, 1e-6).with_controller(controller);
        let backward = SolveOptions::new(-0.3, -4.0, 1e-6, 1e-6).with_controller(controller);
        let (a, _) = run(a3, [1.5], &forward).unwrap();
        let (b, _) = run(|t, y| a3(-t, y).map(|dy| -dy), [1.5], &backward).unwrap();
        assert_eq!(a.y, b.y);
        assert_eq!((a.accepted, a.rejected), (b.accepted, b.rejected));
    }
}

#[test]
fn solving_forth_and_back_returns_to_the_start() {
    let forth = SolveOptions::new(0.0, 3.0, 1e-10, 1e-10);
    let back = SolveOptions::new(3.0, 0.0, 1e-10, 1e-10);
    let (end, _) = run(a3, [0.7], &forth).unwrap();
    let (start, _) = run(a3, end.y, &back).unwrap();
    assert!((start.y[0] - 0.7).abs() < 1e-8);
}

#[test]
fn an_empty_span_is_the_identity_and_evaluates_nothing() {
    let (solution, calls) = run(a3, [0.7], &SolveOptions::new(2.0, 2.0, 1e-6, 1e-6)).unwrap();
    assert_eq!(solution.y, [0.7]);
    assert_eq!((calls, solution.field_calls, solution.accepted), (0, 0, 0));
}

#[test]
fn the_end_point_is_met_exactly_far_from_zero() {
    // y' = 1 counts the time that passed.
    let options = SolveOptions::new(1e6, 1e6 + 1.0, 1e-6, 1e-6);
    let (solution, _) = run(|_, _| [1.0], [0.0], &options).unwrap();
    assert!((solution.y[0] - 1.0).abs() < 1e-9);
}

#[test]
fn a_rejected_step_keeps_the_state() {
    let mut field = Closure { f: a3, calls: 0 };
    let y0 = [1.0];
    let mut stepper = ExplicitRk::new(&mut field, &TSIT5, 0.0, y0).unwrap();
    let tolerances = Tolerances {
        rtol: 1e-6,
        atol: 1e-6,
    };
    stepper.attempt(3.0, &tolerances).unwrap();
    stepper.attempt(0.1, &tolerances).unwrap();
    let again = *stepper.y1();
    assert_eq!(*stepper.y(), [1.0]);
    assert!((again[0] - 0.1_f64.sin().exp()).abs() < 1e-8);
}

#[test]
fn a_blow_up_is_reported_where_it_happens() {
    // y' = y^2 from 1 leaves every bound at t = 1.
    let error = run(
        |_, [y]| [y * y],
        [1.0],
        &SolveOptions::new(0.0, 2.0, 1e-6, 1e-6),
    )
    .unwrap_err();
    match error {
        SolveError::StepTooSmall { t, .. } | SolveError::NonFinite { t, .. } => {
            assert!((t - 1.0).abs() < 1e-3, "{t}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_that_turns_nan_is_reported_with_its_time() {
    let f = |t: f64, [y]: [f64; 1]| [if t > 0.5 { f64::NAN } else { y }];
    let error = run(f, [1.0], &SolveOptions::new(0.0, 1.0, 1e-6, 1e-6)).unwrap_err();
    let SolveError::NonFinite { t, sample, .. } = error else {
        panic!("{error:?}");
    };
    assert!(t <= 0.5 && t > 0.49, "{t}");
    assert_eq!(sample, Some(0));
}

#[test]
fn a_stiff_field_that_runs_into_the_limit_of_steps_is_called_stiff() {
    let options = SolveOptions::new(0.0, 1e3, 1e-3, 1e-3).with_max_steps(100);
    let error = run(|_, [y]| [-1e4 * y], [1.0], &options).unwrap_err();
    assert!(
        matches!(error, SolveError::Stiff { steps: 100, .. }),
        "{error:?}"
    );
}

#[test]
fn options_out_of_their_domain_are_typed_errors() {
    let base = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    let wrong = |change: fn(&mut SolveOptions)| {
        let mut options = base.clone();
        change(&mut options);
        run(a3, [1.0], &options).unwrap_err()
    };
    let changes: [fn(&mut SolveOptions); 6] = [
        |o| o.rtol = 0.0,
        |o| o.rtol = -1.0,
        |o| o.rtol = f64::NAN,
        |o| o.rtol = f64::INFINITY,
        |o| o.rtol = 1.0,
        |o| o.rtol = 1e-17,
    ];
    for change in changes {
        let error = wrong(change);
        assert!(
            matches!(error, SolveError::InvalidTolerance { name: "rtol", .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("rtol = "), "{error}");
    }
    let changes: [fn(&mut SolveOptions); 3] =
        [|o| o.atol = 0.0, |o| o.atol = -1.0, |o| o.atol = f64::NAN];
    for change in changes {
        let error = wrong(change);
        assert!(
            matches!(error, SolveError::InvalidTolerance { name: "atol", .. }),
            "{error:?}"
        );
    }
    let changes: [fn(&mut SolveOptions); 3] = [
        |o| o.t1 = f64::INFINITY,
        |o| o.t0 = f64::NAN,
        |o| (o.t0, o.t1) = (-f64::MAX, f64::MAX),
    ];
    for change in changes {
        assert!(matches!(wrong(change), SolveError::InvalidSpan { .. }));
    }
    let changes: [fn(&mut SolveOptions); 3] = [
        |o| o.dt0 = Some(0.0),
        |o| o.controller = Controller::Constant { dt: -0.1 },
        |o| o.controller = Controller::Constant { dt: f64::NAN },
    ];
    for change in changes {
        assert!(matches!(wrong(change), SolveError::InvalidStepSize { .. }));
    }
    assert_eq!(wrong(|o| o.max_steps = 0), SolveError::InvalidMaxSteps);
}

#[test]
fn a_denormal_first_step_recovers() {
    let mut options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6);
    options.dt0 = Some(5e-324);
    let (solution, _) = run(a3, [1.0], &options).unwrap();
    assert!((solution.y[0] - 1.0_f64.sin().exp()).abs() < 1e-5);
}

#[test]
fn numbers_whose_squares_overflow_are_no_infinities() {
    let mut field = FnField::new(|_, _: &[f32; 1]| [1e25]);
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    let solution = record(&mut field, &TSIT5, [0.0_f32], &options, &mut ()).unwrap();
    assert!((solution.y[0] / 1e25 - 1.0).abs() < 1e-4);
}
