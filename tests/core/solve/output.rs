//! What a solve saves and shows, also one that fails.

use super::*;

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
