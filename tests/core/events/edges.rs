//! Roots at the ends of steps, touches, and zeros at the start.

use super::*;

/// Times of the events of `g` along `y' = 1` from `y0`, in equal steps.
fn times(
    g: impl Fn(f64, f64) -> f64,
    (t0, t1, dt): (f64, f64, f64),
    y0: f64,
    change: impl for<'e> Fn(Event<'e, [f64; 1]>) -> Event<'e, [f64; 1]>,
) -> (Vec<f64>, Ended) {
    let options = SolveOptions::new(t0, t1, 1e-6, 1e-6)
        .with_controller(Controller::Constant { dt })
        .with_max_steps(100_000);
    let mut field = FnField::new(|_, _: &[f64; 1]| [1.0]);
    let solution = Solve::new(&mut field, [y0], &options)
        .event(change(Event::new(move |t, y: &[f64; 1]| g(t, y[0]))))
        .run()
        .unwrap();
    let found = solution.events.iter().map(|at| at.t).collect();
    (found, solution.ended)
}

#[test]
fn a_root_at_the_end_of_a_step_hides_no_other() {
    let g = |t: f64, _: f64| (t - 0.5) * (t - 0.7);
    for samples in [0, 1, 3] {
        for dt in [0.25, 0.125, 0.5] {
            for (span, right) in [((0.0, 1.0, dt), [0.5, 0.7]), ((1.0, 0.0, dt), [0.7, 0.5])] {
                let (both, _) = times(g, span, 0.0, |event| event.with_samples(samples));
                assert_eq!(both.len(), 2, "{span:?} {samples}: {both:?}");
                assert!((both[0] - right[0]).abs() < 4e-16 && (both[1] - right[1]).abs() < 4e-16);
                let (rising, ended) = times(g, span, 0.0, |event| {
                    event.with_samples(samples).rising().terminal()
                });
                assert!(rising.len() == 1 && (rising[0] - right[1]).abs() < 4e-16);
                assert_eq!(ended, Ended::AtEvent);
                let (falling, _) = times(g, span, 0.0, |event| event.falling().terminal());
                assert!(falling.len() == 1 && (falling[0] - right[0]).abs() < 4e-16);
            }
        }
    }
    // A stop at the root, with steps that the error chooses.
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6);
    let mut field = FnField::new(|_, _: &[f64; 1]| [1.0]);
    let solution = Solve::new(&mut field, [0.0], &options)
        .step_at(&[0.5])
        .event(Event::new(|t, _: &[f64; 1]| (t - 0.5) * (t - 0.7)))
        .run()
        .unwrap();
    let found: Vec<f64> = solution.events.iter().map(|at| at.t).collect();
    assert!(
        found.len() == 2 && found[0] == 0.5 && (found[1] - 0.7).abs() < 4e-16,
        "{found:?}"
    );
}

#[test]
fn a_touch_is_no_event_wherever_it_is() {
    for (t0, t1) in [(0.0, 1.0), (1.0, 0.0)] {
        for dt in [0.25, 0.5, 0.1] {
            for power in [2, 4] {
                for sign in [1.0, -1.0] {
                    let touch = |t: f64, _: f64| sign * (t - 0.5).powi(power);
                    let (found, ended) = times(touch, (t0, t1, dt), 0.0, |event| event.terminal());
                    assert_eq!(
                        (found, ended),
                        (vec![], Ended::AtEnd),
                        "{dt} {power} {sign}"
                    );
                }
            }
            // Of the state, which has the rounding errors of the solve.
            let touch = |_: f64, y: f64| (y - 0.5) * (y - 0.5);
            let (found, _) = times(touch, (0.0, 1.0, dt), 0.0, |event| event);
            assert!(found.is_empty(), "{found:?}");
            let cubic = |t: f64, _: f64| (t - 0.5).powi(3);
            let (found, _) = times(cubic, (t0, t1, dt), 0.0, |event| event);
            assert!(
                found.len() == 1 && (found[0] - 0.5).abs() < 1e-5,
                "{found:?}"
            );
        }
    }
}

#[test]
fn a_zero_at_the_start_is_no_event_and_what_follows_is_judged_by_the_sign_after_it() {
    let g = |_: f64, y: f64| y * (y - 0.3);
    for dt in [1.0, 0.5, 0.25] {
        let (found, _) = times(g, (0.0, 1.0, dt), 0.0, |event| event);
        assert!(
            found.len() == 1 && (found[0] - 0.3).abs() < 4e-16,
            "{found:?}"
        );
        let (found, _) = times(g, (0.0, 1.0, dt), 0.0, |event| event.rising());
        assert_eq!(found.len(), 1);
        let (found, _) = times(g, (0.0, 1.0, dt), 0.0, |event| event.falling());
        assert!(found.is_empty());
    }
    // A ball that starts on the floor comes back to it, however long the first step.
    for dt0 in [3.0, 1.5, 0.1] {
        let options = SolveOptions::new(0.0, 3.0, 1e-9, 1e-9).with_dt0(dt0);
        for direction in [Event::terminal, |event: Event<'static, [f64; 2]>| {
            event.falling().terminal()
        }] {
            let mut field = FALL;
            let solution = Solve::new(&mut field, [0.0, 5.0], &options)
                .event(direction(Event::new(height)))
                .run()
                .unwrap();
            assert_eq!(solution.ended, Ended::AtEvent, "it falls through the floor");
            assert!((solution.t - 10.0 / 9.81).abs() < 1e-12, "{}", solution.t);
        }
    }
    // A function that is zero for a while changes its sign where that ends.
    let flat = |t: f64, _: f64| if t < 0.4 { -1.0 } else { (t - 0.6).max(0.0) };
    let (found, _) = times(flat, (0.0, 1.0, 0.25), 0.0, |event| event);
    assert_eq!(found.len(), 1, "{found:?}");
    let (found, _) = times(|_, _| 0.0, (0.0, 1.0, 0.25), 0.0, |event| event);
    assert!(found.is_empty());
}

#[test]
fn roots_at_the_ends_of_steps_are_all_found_wherever_they_are_and_nothing_else_is() {
    let mut random = StdRng::seed_from_u64(3);
    for case in 0..2000 {
        let steps = random.gen_range(2..20_u32);
        // A power of two, so that the ends of steps are numbers.
        let dt = 2.0_f64.powi(random.gen_range(-12..6));
        let backward = random.gen_bool(0.5);
        let signed = if backward { -dt } else { dt };
        let t0 = dt * f64::from(random.gen_range(-40..40));
        let t1 = t0 + signed * f64::from(steps);
        // Single roots and touches, some at ends of steps, at most one in each step and not too near each other.
        let mut roots = Vec::new();
        for step in 0..steps {
            match random.gen_range(0..4) {
                0 => roots.push((t0 + signed * f64::from(step), 1 + random.gen_range(0..2))),
                1 => roots.push((
                    t0 + signed * (f64::from(step) + random.gen_range(0.1..0.9)),
                    1,
                )),
                _ => {}
            }
        }
        let scale = dt * f64::from(steps);
        let g = |t: f64, _: f64| -> f64 {
            roots
                .iter()
                .map(|(root, power)| ((t - root) / scale * 8.0).powi(*power))
                .product()
        };
        let expected: Vec<f64> = roots
            .iter()
            .filter(|(root, power)| *power == 1 && *root != t0)
            .map(|(root, _)| *root)
            .collect();
        let (found, _) = times(g, (t0, t1, dt), 0.0, |event| event);
        assert_eq!(
            found.len(),
            expected.len(),
            "{case}: {found:?} {expected:?} {roots:?}"
        );
        for (found, right) in found.iter().zip(&expected) {
            let unit = f64::EPSILON * t0.abs().max(t1.abs());
            assert!(
                (found - right).abs() <= 2.0 * unit,
                "{case}: {found} is not {right}"
            );
        }
        // The last of them, by its direction.
        if let Some(last) = expected.last() {
            let ends = |event: Event<'static, [f64; 1]>| event.terminal();
            let options =
                SolveOptions::new(t0, t1, 1e-6, 1e-6).with_controller(Controller::Constant { dt });
            let after = *last;
            let mut field = FnField::new(|_, _: &[f64; 1]| [1.0]);
            let solution = Solve::new(&mut field, [0.0], &options)
                .event(ends(Event::new(move |t, _: &[f64; 1]| t - after)))
                .run()
                .unwrap();
            assert_eq!(solution.ended, Ended::AtEvent);
            assert!((solution.t - last).abs() <= 2.0 * f64::EPSILON * t0.abs().max(t1.abs()));
        }
    }
}

#[test]
fn an_event_of_the_state_is_found_to_a_few_units_in_the_last_place_with_every_method() {
    let mut random = StdRng::seed_from_u64(4);
    for solver in Solver::ALL {
        for case in 0..200 {
            let mark = if case == 0 {
                1.0
            } else {
                random.gen_range(0.1..2.9)
            };
            let dt = [3.0, 0.7, 0.31][case % 3];
            let options = SolveOptions::new(0.0, 3.0, 1e-6, 1e-6)
                .with_solver(solver)
                .with_controller(Controller::Constant { dt });
            let mut field = FnField::new(|_, _: &[f64; 1]| [1.0]);
            let solution = Solve::new(&mut field, [0.0], &options)
                .save_at(SaveAt::times(&[0.05, mark, 2.95]))
                .event(Event::new(move |_, y: &[f64; 1]| y[0] - mark).terminal())
                .run()
                .unwrap();
            let unit = mark.next_up() - mark;
            assert!(
                (solution.t - mark).abs() <= 4.0 * unit.max(f64::EPSILON * dt),
                "{solver:?}: {} units off {mark}",
                (solution.t - mark) / unit
            );
            assert!(
                // A sum of as many terms as there are stages, each of them up to the step's size.
                (solution.y[0] - mark).abs() <= 4.0 * unit.max(f64::EPSILON * dt),
                "{solver:?}: {} units off {mark} at {} units, {dt}",
                (solution.y[0] - mark) / unit,
                (solution.t - mark) / unit
            );
            // The event is at a saved time, whose value is kept.
            assert_eq!(solution.times, [0.05, mark], "{solver:?}");
            assert!((solution.values[1][0] - mark).abs() <= 8.0 * unit.max(f64::EPSILON * dt));
        }
    }
}

/// The height at which a solve goes on after a bounce is zero but for rounding.
#[test]
fn a_ball_that_goes_on_a_rounding_error_below_the_floor_comes_down_on_it() {
    for height in [-1e-16, -4e-16, 0.0, 3e-16] {
        let mut field = FnField::new(|_, y: &[f64; 2]| [y[1], -9.81]);
        let options = SolveOptions::new(0.0, 3.0, 1e-6, 1e-6).with_dt0(3.0);
        let solved = Solve::new(&mut field, [height, 5.0], &options)
            .event(Event::new(|_, y: &[f64; 2]| y[0]).falling().terminal())
            .run()
            .unwrap();
        let times: Vec<f64> = solved.events.iter().map(|event| event.t).collect();
        assert!(
            times.len() == 1 && (times[0] - 10.0 / 9.81).abs() < 1e-9,
            "{height:e}: {times:?}"
        );
    }
}
