//! The plain solver: what it saves, where it stops, what its hooks see, and what a failing solve still gives.

use std::{cell::RefCell, ops::ControlFlow};

use crate::support::{relative_error, Field, ADJOINTS};
use neuralode_core::{
    ode::{
        adjoint::{solve_keeping, Cotangent},
        error::Quantity,
        method::{ButcherTableau, DOPRI8, TSIT5},
        output::saved_points::solve_at,
        solve::record,
        trajectory::Trajectory,
        Ended, Failure, SaveAt, Solution, Solve, StepInfo,
    },
    Adjoint, Controller, FnField, SolveError, SolveOptions, Solver,
};

/// A rotation, whose solution from `[1, 0]` is `[cos t, sin t]`.
fn rotation(_: f64, y: &[f64; 2]) -> [f64; 2] {
    [-y[1], y[0]]
}

fn exact(t: f64) -> [f64; 2] {
    [t.cos(), t.sin()]
}

fn distance(a: &[f64; 2], b: [f64; 2]) -> f64 {
    (a[0] - b[0]).abs().max((a[1] - b[1]).abs())
}

fn rotate(
    options: &SolveOptions,
    set: impl for<'a> FnOnce(
        Solve<'a, FnField<fn(f64, &[f64; 2]) -> [f64; 2], f64, 2>>,
    ) -> Solve<'a, FnField<fn(f64, &[f64; 2]) -> [f64; 2], f64, 2>>,
) -> Result<Solution<[f64; 2]>, Failure<[f64; 2]>> {
    let f: fn(f64, &[f64; 2]) -> [f64; 2] = rotation;
    let mut field = FnField::new(f);
    set(Solve::new(&mut field, exact(options.t0), options)).run()
}

/// The ends of all steps of a plain solve, and its end state.
fn plain(options: &SolveOptions) -> (Vec<f64>, [f64; 2]) {
    let mut field = FnField::new(rotation);
    let mut trajectory = Trajectory::new(&TSIT5);
    let y0 = exact(options.t0);
    let solved = record(&mut field, &TSIT5, y0, options, &mut trajectory).unwrap();
    let starts = trajectory.steps().iter().skip(1).map(|step| step.t);
    (starts.chain([options.t1]).collect(), solved.y)
}

const SPANS: [(f64, f64); 2] = [(0.0, 5.0), (2.0, -1.5)];

#[test]
fn a_solve_gives_its_end_state_and_its_cost_and_saves_nothing_unasked() {
    for (t0, t1) in SPANS {
        let options = SolveOptions::new(t0, t1, 1e-8, 1e-8);
        let solution = rotate(&options, |solve| solve.save_at(SaveAt::nothing())).unwrap();
        let (steps, y) = plain(&options);
        assert_eq!((solution.t, solution.y), (t1, y));
        assert_eq!(solution.ended, Ended::AtEnd);
        assert_eq!(solution.stats.accepted, steps.len());
        assert!(solution.times.is_empty() && solution.values.is_empty());
        assert!(solution.dense.is_none() && solution.events.is_empty());
    }
}

#[test]
fn everything_that_is_saved_comes_once_and_in_the_order_of_the_solve() {
    for (t0, t1) in SPANS {
        let options = SolveOptions::new(t0, t1, 1e-8, 1e-8);
        let at = |part: f64| t0 + part * (t1 - t0);
        let (ends, y) = plain(&options);
        // The start, a step's end and the end of the span are among the given times; one is given twice.
        let given = [t0, at(0.01), ends[4], at(0.7), at(0.7), t1];
        let everything = SaveAt::end()
            .with_start()
            .with_times(&given)
            .with_every_step();
        let solution = rotate(&options, |solve| solve.save_at(everything.clone())).unwrap();
        let mut expected: Vec<f64> = [t0, at(0.01), at(0.7), at(0.7)]
            .into_iter()
            .chain(ends)
            .collect();
        expected.sort_by(|a, b| {
            if t1 < t0 {
                b.total_cmp(a)
            } else {
                a.total_cmp(b)
            }
        });
        assert_eq!(solution.times, expected);
        for (t, value) in solution.times.iter().zip(&solution.values) {
            assert!(distance(value, exact(*t)) < 1e-6, "{t}: {value:?}");
        }
        assert_eq!(solution.values.last(), Some(&y));
    }
}

#[test]
fn saved_times_have_the_bits_of_solve_at_and_change_no_step() {
    for (t0, t1) in SPANS {
        let options = SolveOptions::new(t0, t1, 1e-6, 1e-6);
        let times: Vec<f64> = (0..=10)
            .map(|i| t0 + 0.1 * f64::from(i) * (t1 - t0))
            .collect();
        let mut field = FnField::new(rotation);
        let (values, stats) =
            solve_at(&mut field, &TSIT5, exact(t0), &times, &options, &mut ()).unwrap();
        let solution = rotate(&options, |solve| solve.save_at(SaveAt::times(&times))).unwrap();
        assert_eq!(solution.times, times);
        assert_eq!(solution.values, values);
        assert_eq!(solution.stats, stats);
    }
}

fn dense<const S: usize>(tableau: &'static ButcherTableau<S>) {
    for (t0, t1) in SPANS {
        let options = SolveOptions::new(t0, t1, 1e-9, 1e-9);
        let mut field = FnField::new(rotation);
        let solution = Solve::new(&mut field, exact(t0), &options)
            .save_at(SaveAt::nothing().with_dense())
            .run_with(tableau)
            .unwrap();
        let mut trajectory = Trajectory::new(tableau);
        record(&mut field, tableau, exact(t0), &options, &mut trajectory).unwrap();
        assert_eq!(
            solution.dense.as_ref().unwrap().steps(),
            solution.stats.accepted
        );
        for i in 0..=200 {
            let t = t0 + f64::from(i) / 200.0 * (t1 - t0);
            let (y, dy) = (solution.at(t).unwrap(), solution.derivative_at(t).unwrap());
            let mut expected = [0.0; 2];
            trajectory.evaluate(t, &mut expected).unwrap();
            assert_eq!(y, expected);
            trajectory.derivative(t, &mut expected).unwrap();
            assert_eq!(dy, expected);
            assert!(distance(&y, exact(t)) < 1e-7, "{} at {t}", tableau.name);
            assert!(
                distance(&dy, [-t.sin(), t.cos()]) < 2e-6,
                "{} at {t}: {dy:?}",
                tableau.name
            );
        }
    }
}

#[test]
fn dense_output_gives_the_solution_and_its_derivative_everywhere() {
    dense(&TSIT5);
    dense(&DOPRI8);
}

#[test]
fn the_derivative_of_every_interpolant_is_that_of_its_weights_and_the_field_at_both_ends() {
    struct Derivative;
    impl neuralode_core::ode::method::WithTableau for Derivative {
        type Output = ();
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
            for theta in [0.0, 0.2, 0.5, 0.9, 1.0] {
                let found = tableau.dense_derivative_weights(theta);
                for (i, slope) in found.into_iter().enumerate() {
                    let expected =
                        crate::support::derivative(|d| tableau.dense_weights(theta + d)[i]);
                    assert!(
                        (slope - expected).abs() < 1e-6,
                        "{}, {theta}, {i}",
                        tableau.name
                    );
                }
            }
            let first = tableau.dense_derivative_weights(0.0);
            let last = tableau.dense_derivative_weights(1.0);
            for i in 0..S {
                let is = |index| f64::from(u8::from(i == index));
                assert!((first[i] - is(0)).abs() < 1e-14);
                assert!(
                    (last[i] - is(S - 1)).abs() < 1e-12,
                    "{}: {last:?}",
                    tableau.name
                );
            }
        }
    }
    for solver in Solver::ALL {
        solver.with_tableau(Derivative);
        solver.with_padded_tableau(Derivative);
    }
}

#[test]
fn a_time_that_was_not_solved_is_a_typed_error() {
    let options = SolveOptions::new(0.0, 2.0, 1e-6, 1e-6);
    let solution = rotate(&options, |solve| solve.save_at(SaveAt::end().with_dense())).unwrap();
    for found in [-1e-9, 2.1, f64::INFINITY] {
        let error = SolveError::NotSolved {
            found,
            t0: 0.0,
            t1: 2.0,
        };
        assert_eq!(solution.at(found).unwrap_err(), error);
        assert_eq!(solution.derivative_at(found).unwrap_err(), error);
    }
    assert!(solution.at(f64::NAN).is_err());
    let sparse = rotate(&options, |solve| solve).unwrap();
    assert_eq!(sparse.at(1.0).unwrap_err(), SolveError::NoDenseOutput);
}

#[test]
fn an_empty_span_saves_its_only_state_once() {
    let options = SolveOptions::new(1.0, 1.0, 1e-6, 1e-6);
    let save_at = SaveAt::end().with_start().with_every_step().with_dense();
    let solution = rotate(&options, |solve| solve.save_at(save_at)).unwrap();
    assert_eq!((solution.t, solution.y), (1.0, exact(1.0)));
    assert_eq!(
        (solution.times.clone(), solution.values.clone()),
        (vec![1.0], vec![exact(1.0)])
    );
    assert_eq!(solution.at(1.0).unwrap(), exact(1.0));
    assert_eq!(
        solution.derivative_at(1.0).unwrap_err(),
        SolveError::NoDenseOutput
    );
}

#[test]
fn a_hook_sees_every_attempted_step_and_may_end_the_solve() {
    let options = SolveOptions::new(0.0, 5.0, 1e-6, 1e-6).with_dt0(5.0);
    let seen = RefCell::new(Vec::new());
    let mut field = FnField::new(rotation);
    let solution = Solve::new(&mut field, exact(0.0), &options)
        .on_step(|info| {
            seen.borrow_mut().push(*info);
            ControlFlow::Continue(())
        })
        .run()
        .unwrap();
    let seen = seen.into_inner();
    let count = |accepted| seen.iter().filter(|info| info.accepted == accepted).count();
    assert_eq!(count(true), solution.stats.accepted);
    assert_eq!(count(false), solution.stats.rejected);
    assert!(count(false) > 0, "the first step was too large on purpose");
    assert!(seen
        .iter()
        .all(|info| info.accepted == (info.error <= 1.0) && info.h > 0.0));
    let mut t = 0.0;
    for StepInfo {
        t: start,
        h,
        accepted,
        ..
    } in seen.iter().copied()
    {
        assert_eq!(start, t);
        t += if accepted { h } else { 0.0 };
    }

    let times = [0.5, 1.0, 4.9];
    let stopped = rotate(&options, |solve| {
        solve
            .save_at(SaveAt::end().with_times(&times))
            .on_step(|info| {
                if info.t + info.h > 2.0 && info.accepted {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })
    });
    let stopped = stopped.unwrap();
    assert_eq!(stopped.ended, Ended::ByHook);
    assert!(2.0 < stopped.t && stopped.t < 4.0);
    assert!(distance(&stopped.y, exact(stopped.t)) < 1e-4);
    assert_eq!(stopped.times, [0.5, 1.0, stopped.t]);
}

#[test]
fn a_hook_may_end_a_solve_before_its_first_accepted_step() {
    let options = SolveOptions::new(0.0, 5.0, 1e-12, 1e-12).with_dt0(5.0);
    let stopped = rotate(&options, |solve| {
        solve
            .save_at(SaveAt::end().with_start())
            .on_step(|_| ControlFlow::Break(()))
    });
    let stopped = stopped.unwrap();
    assert_eq!(
        (stopped.t, stopped.y, stopped.ended),
        (0.0, exact(0.0), Ended::ByHook)
    );
    assert_eq!((stopped.stats.accepted, stopped.stats.rejected), (0, 1));
    assert_eq!(stopped.times, [0.0]);
}

#[test]
fn progress_rises_to_one() {
    for (t0, t1) in SPANS {
        let options = SolveOptions::new(t0, t1, 1e-6, 1e-6);
        let mut parts = Vec::new();
        let mut field = FnField::new(rotation);
        let solve = Solve::new(&mut field, exact(t0), &options).progress(|part| parts.push(part));
        let solution = solve.run().unwrap();
        assert_eq!(parts.len(), solution.stats.accepted);
        assert!(parts.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(parts[0] > 0.0 && parts.last() == Some(&1.0));
    }
}

/// `dy/dt = y^2` from 1: a pole at 1.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "what `FnField` calls")]
fn pole(_: f64, y: &[f64; 1]) -> [f64; 1] {
    [y[0] * y[0]]
}

#[test]
fn a_failing_solve_gives_what_it_saved_before() {
    let options = SolveOptions::new(0.0, 2.0, 1e-8, 1e-8);
    let mut field = FnField::new(pole);
    let save_at = SaveAt::end()
        .with_start()
        .with_times(&[0.25, 0.5, 1.5])
        .with_dense();
    let failure = Solve::new(&mut field, [1.0], &options)
        .save_at(save_at)
        .run()
        .unwrap_err();
    let partial = &failure.partial;
    assert_eq!(partial.ended, Ended::ByError);
    assert!(
        (partial.t - 1.0).abs() < 1e-4 && partial.y[0] > 1e4,
        "{}",
        partial.t
    );
    assert_eq!(partial.times, [0.0, 0.25, 0.5]);
    for (t, value) in partial.times.iter().zip(&partial.values) {
        assert!((value[0] * (1.0 - t) - 1.0).abs() < 1e-6);
    }
    assert!((partial.at(0.9).unwrap()[0] - 10.0).abs() < 1e-4);
    assert!(partial.stats.accepted > 10 && partial.stats.rejected > 0);
    let text = failure.to_string();
    assert!(
        text.contains(&failure.error.to_string()) && text.contains("solved up to t = "),
        "{text}"
    );
    let error: &dyn std::error::Error = &failure;
    assert_eq!(
        error.source().unwrap().to_string(),
        failure.error.to_string()
    );
    let error = failure.error.clone();
    assert_eq!(SolveError::from(failure), error);
}

#[test]
fn a_solve_that_cannot_begin_gives_its_start() {
    let options = SolveOptions::new(0.0, 2.0, -1.0, 1e-8);
    let failure = rotate(&options, |solve| solve).unwrap_err();
    assert!(matches!(failure.error, SolveError::InvalidTolerance { .. }));
    assert_eq!((failure.partial.t, failure.partial.y), (0.0, exact(0.0)));
    assert!(failure.partial.times.is_empty());
    let options = SolveOptions::new(0.0, 2.0, 1e-8, 1e-8);
    let failure = rotate(&options, |solve| solve.save_at(SaveAt::times(&[1.0, 3.0]))).unwrap_err();
    assert!(matches!(
        failure.error,
        SolveError::TimeOutsideSpan { index: 1, .. }
    ));
    let mut field = FnField::new(|_, _: &[f64; 1]| [f64::NAN]);
    let failure = Solve::new(&mut field, [1.0], &options).run().unwrap_err();
    assert!(matches!(
        failure.error,
        SolveError::NonFinite {
            quantity: Quantity::VectorField,
            ..
        }
    ));
    assert_eq!((failure.partial.t, failure.partial.y), (0.0, [1.0]));
    assert_eq!(failure.partial.stats.field_calls, 1);
}

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
