//! Events along a solve: when they happen, in which order, what they end, and their gradients.

mod edges;
mod gradients;

use core::f64::consts::PI;

use crate::support::{relative_error, Field, ADJOINTS};
use neuralode_core::{
    engine::Tiles,
    ode::{
        error::Quantity,
        method::{ButcherTableau, WithTableau, BOSH3, DOPRI8, TSIT5},
        output::events::Event,
        solve::record,
        step::Step,
        trajectory::Recorder,
        Ended, SaveAt, Solution, Solve,
    },
    Adjoint, Controller, FnField, SolveError, SolveOptions, Solver,
};
use rand::{rngs::StdRng, Rng, SeedableRng};

/// Height and speed under the parameter's gravity.
const FALL: Field<2, 1> = Field {
    parameters: [9.81],
    f: |_, y, [g]| [y[1], -g],
    products: |_, _, _, c| ([0.0, c[0]], [-c[1]]),
};

/// `dy/dt = theta y`
const GROWTH: Field<1, 1> = Field {
    parameters: [0.7],
    f: |_, y, [theta]| [theta * y[0]],
    products: |_, y, [theta], c| ([theta * c[0]], [y[0] * c[0]]),
};

fn height(_: f64, y: &[f64; 2]) -> f64 {
    y[0]
}

fn rotation(_: f64, y: &[f64; 2]) -> [f64; 2] {
    [-y[1], y[0]]
}

/// A rotation from `[cos t0, sin t0]`, with these events.
fn rotate<'a>(
    options: &'a SolveOptions,
    save_at: SaveAt,
    events: Vec<Event<'a, [f64; 2]>>,
) -> Solution<[f64; 2]> {
    let mut field = FnField::new(rotation);
    let mut solve =
        Solve::new(&mut field, [options.t0.cos(), options.t0.sin()], options).save_at(save_at);
    for event in events {
        solve = solve.event(event);
    }
    solve.run().unwrap()
}

#[test]
fn a_terminal_event_ends_the_solve_at_its_root() {
    for speed in [-3.0, 0.0, 5.0_f64] {
        let options = SolveOptions::new(0.0, 100.0, 1e-10, 1e-10);
        let mut field = FALL;
        let solution = Solve::new(&mut field, [20.0, speed], &options)
            .save_at(
                SaveAt::end()
                    .with_times(&[0.5, 1.0, 50.0])
                    .with_every_step()
                    .with_dense(),
            )
            .event(Event::new(height).terminal())
            .run()
            .unwrap();
        let root = (speed + (speed * speed + 2.0 * 9.81 * 20.0).sqrt()) / 9.81;
        assert_eq!(solution.ended, Ended::AtEvent);
        assert!(
            (solution.t - root).abs() < 1e-12,
            "{} is not {root}",
            solution.t
        );
        assert!(
            solution.y[0] <= 0.0 && solution.y[0] > -1e-12,
            "on the far side"
        );
        assert!((solution.y[1] - (speed - 9.81 * root)).abs() < 1e-11);
        assert_eq!(solution.events.len(), 1);
        assert_eq!(
            (solution.events[0].t, solution.events[0].y),
            (solution.t, solution.y)
        );
        // Nothing is saved behind it.
        assert!(solution.times.contains(&0.5) && solution.times.contains(&1.0));
        assert!(solution.times.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(solution.times.last(), Some(&solution.t));
        assert_eq!(solution.values.last(), Some(&solution.y));
        assert!(solution.at(solution.t).is_ok());
        let behind = solution.t.next_up();
        assert_eq!(
            solution.at(behind).unwrap_err(),
            SolveError::NotSolved {
                found: behind,
                t0: 0.0,
                t1: solution.t
            }
        );
    }
}

#[test]
fn a_root_in_time_is_found_to_two_units_in_the_last_place_on_its_far_side() {
    for (t0, t1) in [(0.0, 5.0), (3.0, -4.0), (-1.0, 1e6)] {
        for root in [0.3, 1.0 / 3.0, -0.7, 1e-9, 2.0, 99.9] {
            if (root - t0) * (root - t1) >= 0.0 {
                continue;
            }
            let options = SolveOptions::new(t0, t1, 1e-3, 1e-3).with_dt_max(0.4 * (t1 - t0).abs());
            let mut field = FnField::new(|_, _: &[f64; 1]| [1.0]);
            // Of odd order and steep: worst cases of a secant.
            let functions: [fn(f64) -> f64; 4] = [|s| s, |s| s.powi(5), f64::cbrt, f64::signum];
            for shape in functions {
                let solution = Solve::new(&mut field, [0.0], &options)
                    .event(Event::new(
                        |t: f64, _: &[f64; 1]| if t == root { 0.0 } else { shape(t - root) },
                    ))
                    .run()
                    .unwrap();
                assert_eq!(solution.events.len(), 1, "{root} in {t0}..{t1}");
                let found = solution.events[0].t;
                // The fifth power of a tiny distance is zero.
                let flat = if shape(1e-70) == 0.0 { 1e-60 } else { 0.0 };
                // Times are sums of a step's start and a part of it: their resolution is that of the larger.
                let scale = solution.t.abs().max(t0.abs()).max(root.abs()).min(2e6);
                let near = if (t1 - t0).abs() > 1e3 {
                    scale
                } else {
                    root.abs().max(4.0)
                };
                assert!(
                    (found - root).abs() <= 2.0 * f64::EPSILON * near + flat,
                    "{found} is not {root} in {t0}..{t1}"
                );
            }
        }
    }
}

#[test]
fn events_come_in_the_order_in_which_they_happen_however_many_a_step_holds() {
    // A loose tolerance and the method of order 8 make steps that hold several.
    for (t0, t1) in [(0.1, 9.0), (9.0, 0.1)] {
        let options = SolveOptions::new(t0, t1, 1e-6, 1e-6).with_solver(Solver::Dopri8);
        let angles = [0.0_f64, 0.3, 0.7, 1.2, 1.8, 2.5];
        let events = angles.map(|angle| {
            Event::new(move |_, y: &[f64; 2]| y[1] * angle.cos() - y[0] * angle.sin())
        });
        let solution = rotate(&options, SaveAt::end(), events.into());
        let mut expected: Vec<(f64, usize)> = Vec::new();
        for half_turns in 0..4 {
            let times = angles
                .iter()
                .map(|angle| f64::from(half_turns) * PI + angle);
            expected.extend(times.zip(0..));
        }
        expected.retain(|(t, _)| (t0.min(t1)..t0.max(t1)).contains(t));
        expected.sort_by(|a, b| {
            if t1 < t0 {
                b.0.total_cmp(&a.0)
            } else {
                a.0.total_cmp(&b.0)
            }
        });
        let found: Vec<_> = solution.events.iter().map(|at| at.event).collect();
        let places: Vec<_> = expected.iter().map(|(_, event)| *event).collect();
        assert_eq!(found, places);
        assert!(
            solution.stats.accepted < expected.len(),
            "steps hold several events"
        );
        for (at, (t, _)) in solution.events.iter().zip(&expected) {
            assert!((at.t - t).abs() < 1e-4, "{} is not {t}", at.t);
            assert!((at.y[0] - at.t.cos()).abs() < 1e-4);
            assert!((at.dy[0] + at.t.sin()).abs() < 1e-2);
        }
    }
}

#[test]
fn only_changes_in_the_named_direction_count_and_backwards_in_time_the_direction_is_the_solves() {
    let times = |options: &SolveOptions, event: Event<'_, [f64; 2]>| -> Vec<i64> {
        let mut field = FnField::new(rotation);
        let y0 = [options.t0.cos(), options.t0.sin()];
        let solution = Solve::new(&mut field, y0, options)
            .event(event)
            .run()
            .unwrap();
        #[allow(clippy::cast_possible_truncation, reason = "small numbers")]
        solution
            .events
            .iter()
            .map(|at| (at.t / PI).round() as i64)
            .collect()
    };
    let sine = |_: f64, y: &[f64; 2]| y[1];
    let forward = SolveOptions::new(0.5, 13.0, 1e-8, 1e-8);
    assert_eq!(times(&forward, Event::new(sine)), [1, 2, 3, 4]);
    assert_eq!(times(&forward, Event::new(sine).rising()), [2, 4]);
    assert_eq!(times(&forward, Event::new(sine).falling()), [1, 3]);
    let backward = SolveOptions::new(13.0, 0.5, 1e-8, 1e-8);
    assert_eq!(times(&backward, Event::new(sine).rising()), [3, 1]);
    assert_eq!(times(&backward, Event::new(sine).falling()), [4, 2]);
}

#[test]
fn an_event_that_is_zero_at_the_start_does_not_happen_there() {
    let options = SolveOptions::new(0.0, 4.0, 1e-8, 1e-8);
    let sine = || Event::new(|_, y: &[f64; 2]| y[1]);
    for event in [sine(), sine().rising(), sine().falling()] {
        let rising = format!("{event:?}").contains("Rising");
        let solution = rotate(&options, SaveAt::end(), vec![event]);
        let found: Vec<f64> = solution.events.iter().map(|at| at.t).collect();
        if rising {
            assert!(found.is_empty(), "{found:?}");
        } else {
            assert!(
                found.len() == 1 && (found[0] - PI).abs() < 1e-6,
                "{found:?}"
            );
        }
    }
}

#[test]
fn a_ball_bounces_at_the_times_of_its_closed_form() {
    let options = |t0| SolveOptions::new(t0, 100.0, 1e-9, 1e-9);
    let (restitution, gravity) = (0.8, 9.81_f64);
    let (mut t, mut y) = (0.0, [10.0, 0.0]);
    let mut expected = (2.0 * 10.0 / gravity).sqrt();
    let mut speed = gravity * expected;
    for bounce in 0..20 {
        let options = options(t);
        let mut field = FALL;
        let solution = Solve::new(&mut field, y, &options)
            .event(Event::new(height).falling().terminal())
            .run()
            .unwrap();
        assert_eq!(solution.ended, Ended::AtEvent);
        assert!(
            (solution.t - expected).abs() < 1e-10,
            "{bounce}: {} {expected}",
            solution.t
        );
        assert!((solution.y[1] + speed).abs() < 1e-9);
        t = solution.t;
        y = [solution.y[0], -restitution * solution.y[1]];
        speed *= restitution;
        expected += 2.0 * speed / gravity;
    }
}

#[test]
fn what_happens_twice_in_a_step_is_found_by_samples() {
    // One step over two zeros of a parabola.
    let options =
        SolveOptions::new(0.0, 1.0, 1e-3, 1e-3).with_controller(Controller::Constant { dt: 1.0 });
    let parabola = |t: f64, _: &[f64; 2]| (t - 0.4) * (t - 0.45);
    let found = |samples| {
        let event = Event::new(parabola).with_samples(samples);
        let solution = rotate(&options, SaveAt::end(), vec![event]);
        solution.events.iter().map(|at| at.t).collect::<Vec<_>>()
    };
    assert!(found(0).is_empty());
    assert!(found(3).is_empty());
    let both = found(20);
    assert!(both.len() == 2 && (both[0] - 0.4).abs() < 1e-15 && (both[1] - 0.45).abs() < 1e-15);
}

#[test]
fn an_event_that_is_looked_at_too_often_is_an_error() {
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    let solved = |samples| {
        let mut field = FnField::new(|_, _: &[f64; 1]| [1.0]);
        let event = Event::new(|_, y: &[f64; 1]| y[0] - 0.5).with_samples(samples);
        let run = Solve::new(&mut field, [0.0], &options).event(event).run();
        run.map(|solution| solution.events.len())
            .map_err(|failure| failure.error)
    };
    assert_eq!(solved(1 << 16), Ok(1));
    for samples in [(1 << 16) + 1, usize::MAX - 1, usize::MAX] {
        let error = solved(samples).unwrap_err();
        assert!(
            matches!(
                error,
                SolveError::InvalidSetting {
                    layer: "Event",
                    name: "samples",
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[test]
fn nothing_behind_a_terminal_event_is_reported_and_nothing_before_it_is_lost() {
    let options =
        SolveOptions::new(0.0, 10.0, 1e-3, 1e-3).with_controller(Controller::Constant { dt: 5.0 });
    let at = |time: f64| Event::new(move |t: f64, _: &[f64; 2]| t - time);
    let events = vec![at(7.5), at(7.0).terminal(), at(6.0), at(2.0), at(7.0)];
    let save_at = SaveAt::end().with_times(&[1.0, 6.5, 7.25, 9.0]);
    let solution = rotate(&options, save_at, events);
    let found: Vec<_> = solution.events.iter().map(|at| (at.event, at.t)).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    for (found, expected) in found.iter().zip([(3, 2.0), (2, 6.0), (1, 7.0)]) {
        assert!(
            found.0 == expected.0 && (found.1 - expected.1).abs() < 4e-15,
            "{found:?}"
        );
    }
    assert_eq!((solution.t, solution.ended), (found[2].1, Ended::AtEvent));
    assert_eq!(solution.times, [1.0, 6.5, solution.t]);
    // Two terminal events: the earlier one.
    let events = vec![at(7.5).terminal(), at(6.0).terminal()];
    assert!((rotate(&options, SaveAt::end(), events).t - 6.0).abs() < 4e-15);
}

#[test]
fn an_event_at_the_end_of_a_step_happens_once() {
    let options =
        SolveOptions::new(0.0, 2.0, 1e-3, 1e-3).with_controller(Controller::Constant { dt: 0.25 });
    for event in [
        Event::new(|t, _: &[f64; 2]| t - 1.0),
        Event::new(|t, _: &[f64; 2]| 1.0 - t),
    ] {
        let solution = rotate(&options, SaveAt::end(), vec![event]);
        let found: Vec<_> = solution.events.iter().map(|at| at.t).collect();
        assert_eq!(found, [1.0]);
    }
    let last = Event::new(|t, _: &[f64; 2]| t - 2.0).terminal();
    let solution = rotate(&options, SaveAt::end(), vec![last]);
    assert_eq!(
        (solution.t, solution.ended, solution.times),
        (2.0, Ended::AtEvent, vec![2.0])
    );
}

#[test]
fn events_change_no_step() {
    let options = SolveOptions::new(0.0, 10.0, 1e-6, 1e-6);
    let events = vec![Event::new(|_, y: &[f64; 2]| y[1]).with_samples(2)];
    let with = rotate(&options, SaveAt::end().with_every_step(), events);
    let without = rotate(&options, SaveAt::end().with_every_step(), Vec::new());
    assert_eq!(with.stats, without.stats);
    assert_eq!((with.times, with.values), (without.times, without.values));
}

#[test]
fn an_event_that_is_not_a_number_is_a_typed_error() {
    let options = SolveOptions::new(0.0, 10.0, 1e-6, 1e-6);
    let mut field = FnField::new(rotation);
    let failure = Solve::new(&mut field, [1.0, 0.0], &options)
        .save_at(SaveAt::times(&[1.0, 4.999, 5.0, 9.0]))
        .event(Event::new(
            |t: f64, _: &[f64; 2]| if t < 5.0 { 1.0 } else { f64::NAN },
        ))
        .run()
        .unwrap_err();
    let SolveError::NonFinite {
        quantity: Quantity::EventFunction,
        t,
        ..
    } = failure.error
    else {
        panic!("{failure:?}");
    };
    assert!((4.0..5.0).contains(&t));
    assert!(failure.partial.times.contains(&1.0) && !failure.partial.times.contains(&5.0));
    assert!(failure.error.to_string().contains("event"));
}

#[test]
fn a_restart_from_an_event_with_the_state_unchanged_does_not_meet_it_again() {
    let options = SolveOptions::new(0.3, 50.0, 1e-6, 1e-6);
    let mark = || Event::new(|t: f64, y: &[f64; 2]| y[1] - 0.4 * (0.3 * t).sin()).terminal();
    let mut field = FnField::new(rotation);
    let (mut t, mut y) = (0.3, [0.3_f64.cos(), 0.3_f64.sin()]);
    let mut gaps = Vec::new();
    for _ in 0..10 {
        let mut options = options.clone();
        options.t0 = t;
        let solution = Solve::new(&mut field, y, &options)
            .event(mark())
            .run()
            .unwrap();
        gaps.push(solution.t - t);
        (t, y) = (solution.t, solution.y);
    }
    assert!(gaps.iter().all(|gap| *gap > 1.0), "{gaps:?}");
}

#[test]
fn a_batch_ends_at_the_event_of_one_of_its_samples() {
    let options = SolveOptions::new(0.0, 10.0, 1e-9, 1e-9);
    let mut field = FnField::new(|_, [_, v]: &[f64; 2]| [*v, -9.81]).batch_of::<16>();
    let starts: Vec<f64> = (1..=20)
        .flat_map(|height| [f64::from(height), 0.0])
        .collect();
    let lowest = |_: f64, y: &Tiles<f64, 16>| {
        let rows = y.to_rows();
        rows.chunks(2)
            .map(|row| row[0])
            .fold(f64::INFINITY, f64::min)
    };
    let solution = Solve::new(&mut field, Tiles::from_flat(2, &starts).unwrap(), &options)
        .save_at(SaveAt::end().with_dense())
        .event(Event::new(lowest).terminal())
        .run()
        .unwrap();
    let root = (2.0 / 9.81_f64).sqrt();
    assert!((solution.t - root).abs() < 1e-12);
    let half = solution.at(0.5 * root).unwrap().to_rows();
    for (height, row) in (1..=20).zip(half.chunks(2)) {
        assert!((row[0] - (f64::from(height) - 0.25)).abs() < 1e-9);
    }
}

#[test]
fn the_weights_of_every_interpolant_make_a_line_of_a_constant_field() {
    struct Sums;
    impl WithTableau for Sums {
        type Output = ();
        fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
            for i in 0..=1000 {
                let theta = f64::from(i) / 1000.0;
                let sum: f64 = tableau.dense_weights(theta).iter().sum();
                assert!(
                    (sum - theta).abs() <= 2e-15,
                    "{}: {}",
                    tableau.name,
                    sum - theta
                );
                let slope: f64 = tableau.dense_derivative_weights(theta).iter().sum();
                assert!(
                    (slope - 1.0).abs() <= 2e-14,
                    "{}: {}",
                    tableau.name,
                    slope - 1.0
                );
            }
            assert_eq!(tableau.dense_weights(0.0), [0.0; S]);
        }
    }
    for solver in Solver::ALL {
        solver.with_tableau(Sums);
    }
}

/// Fails at its `n`-th step, after it has taken the state.
struct Fails(usize);

impl<const S: usize> Recorder<[f64; 2], S> for Fails {
    fn record(&mut self, step: Step<&mut [f64; 2], &mut [[f64; 2]; S]>) -> Result<(), SolveError> {
        *step.y = [f64::NAN; 2];
        self.0 -= 1;
        if self.0 == 0 {
            return Err(SolveError::NoTimes);
        }
        Ok(())
    }
}

#[test]
fn what_a_solve_gives_that_failed_inside_an_accepted_step_is_right_up_to_its_time() {
    for (t0, t1) in [(0.0, 10.0), (10.0, 0.0)] {
        for fails_at in 1..25 {
            let options = SolveOptions::new(t0, t1, 1e-6, 1e-6);
            let mut field = FnField::new(rotation);
            let mut calls = 0;
            let grid: Vec<f64> = (0..=100)
                .map(|i| t0 + (t1 - t0) * f64::from(i) / 100.0)
                .collect();
            let failure = Solve::new(&mut field, [t0.cos(), t0.sin()], &options)
                .save_at(SaveAt::times(&grid).with_dense())
                .event(Event::new(|_, _: &[f64; 2]| {
                    calls += 1;
                    if calls == fails_at {
                        f64::NAN
                    } else {
                        1.0
                    }
                }))
                .run()
                .unwrap_err();
            let partial = &failure.partial;
            assert!(matches!(
                failure.error,
                SolveError::NonFinite {
                    quantity: Quantity::EventFunction,
                    ..
                }
            ));
            let right =
                |t: f64, y: [f64; 2]| (y[0] - t.cos()).abs().max((y[1] - t.sin()).abs()) < 1e-4;
            assert!(right(partial.t, partial.y), "{fails_at}");
            for i in 0..=50 {
                let t = t0 + (partial.t - t0) * f64::from(i) / 50.0 * (1.0 - 1e-15);
                let value = partial.at(t).unwrap();
                assert!(right(t, value), "{fails_at}: {value:?} at {t}");
            }
            assert_eq!(partial.at(t0).unwrap(), [t0.cos(), t0.sin()]);
            // Every saved time up to there has its value.
            let reached = grid
                .iter()
                .filter(|t| (*t - t0).abs() <= (partial.t - t0).abs());
            if partial.stats.accepted > 0 {
                assert_eq!(
                    partial.times,
                    reached.copied().collect::<Vec<_>>(),
                    "{fails_at}"
                );
            }
            assert!(partial
                .times
                .iter()
                .zip(&partial.values)
                .all(|(t, y)| right(*t, *y)));
        }
    }
    // A recorder that fails ends the solve with its error, and nothing is lost before.
    let options = SolveOptions::new(0.0, 10.0, 1e-6, 1e-6);
    let error = record(
        &mut FnField::new(rotation),
        &TSIT5,
        [1.0, 0.0],
        &options,
        &mut Fails(3),
    )
    .unwrap_err();
    assert_eq!(error, SolveError::NoTimes);
    // Memory for checkpoints runs out in an accepted step.
    let small = options.with_adjoint(Adjoint::Checkpointed { bytes: 100 });
    let failure = Solve::new(&mut FnField::new(rotation), [1.0, 0.0], &small)
        .save_at(SaveAt::end().with_dense().with_every_step())
        .run_keeping(&TSIT5)
        .unwrap_err();
    assert!(matches!(failure.error, SolveError::CheckpointBudget { .. }));
    let partial = &failure.partial;
    assert_eq!(partial.times.last(), Some(&partial.t));
    assert!((partial.at(0.5 * partial.t).unwrap()[0] - (0.5 * partial.t).cos()).abs() < 1e-6);
}
