//! Gradients of the times and states of events.

use super::*;

/// The impact of a fall from `start`: the gradients of `a * time + b * speed` by start and gravity.
fn fall_gradient<const S: usize>(
    tableau: &'static ButcherTableau<S>,
    adjoint: Adjoint,
    start: [f64; 2],
    [a, b]: [f64; 2],
) -> [f64; 3] {
    let options = SolveOptions::new(0.0, 50.0, 1e-11, 1e-11)
        .with_adjoint(adjoint)
        .with_max_steps(100_000);
    let mut field = FALL;
    let (solution, kept) = Solve::new(&mut field, start, &options)
        .event(Event::new(height).falling().terminal())
        .run_keeping(tableau)
        .unwrap();
    let impact = solution.events.last().unwrap();
    let back = impact
        .pull_back((0.0, &[1.0, 0.0]), (a, &[0.0, b]))
        .unwrap();
    let pulled = kept.pull_back(&mut field, &[back.cotangent]).unwrap();
    [pulled.y_bar[0], pulled.y_bar[1], pulled.theta_bar[0]]
}

#[test]
fn every_adjoint_has_the_gradient_of_an_impact_by_height_speed_and_gravity() {
    let g = 9.81_f64;
    for [h, v] in [[20.0, 0.0], [3.0, 4.0], [50.0, -2.0]] {
        // v1 = -sqrt(v^2 + 2 g h), t = (v - v1) / g
        let root = f64::sqrt(v * v + 2.0 * g * h);
        let speed = [-g / root, -v / root, -h / root];
        let time = [
            1.0 / root,
            (1.0 + v / root) / g,
            h / (g * root) - (v + root) / (g * g),
        ];
        for weights in [[1.0, 0.0], [0.0, 1.0], [-0.3, 2.0]] {
            let expected: [f64; 3] =
                core::array::from_fn(|i| weights[0] * time[i] + weights[1] * speed[i]);
            for adjoint in ADJOINTS {
                let found = [
                    fall_gradient(&TSIT5, adjoint, [h, v], weights),
                    fall_gradient(&BOSH3, adjoint, [h, v], weights),
                    fall_gradient(&DOPRI8, adjoint, [h, v], weights),
                ];
                for found in found {
                    let error = relative_error(&found, &expected);
                    assert!(
                        error < 1e-9,
                        "{adjoint:?}, {h}, {v}, {weights:?}: {error:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_adjoint_has_the_gradient_of_the_time_at_which_growth_meets_a_moving_mark() {
    // y0 exp(theta T) = c + d T: the derivatives of T by y0, theta, c and d, from the equation.
    let (y0, theta, c, d) = (0.5, 0.7_f64, 3.0, 0.2);
    let mut t = 3.0_f64;
    for _ in 0..50 {
        let y = y0 * (theta * t).exp();
        t -= (y - c - d * t) / (theta * y - d);
    }
    let y = y0 * (theta * t).exp();
    let slope = theta * y - d;
    let expected = [-y / y0 / slope, -t * y / slope, 1.0 / slope, t / slope];
    for adjoint in ADJOINTS {
        // Recorded, and the solve goes on: the event lies inside of what is kept.
        for terminal in [true, false] {
            let options = SolveOptions::new(0.0, 6.0, 1e-12, 1e-12).with_adjoint(adjoint);
            let mut field = GROWTH;
            let mark = Event::new(|t: f64, y: &[f64; 1]| y[0] - c - d * t);
            let mark = if terminal { mark.terminal() } else { mark };
            let (solution, kept) = Solve::new(&mut field, [y0], &options)
                .event(mark)
                .run_keeping(&TSIT5)
                .unwrap();
            let at = &solution.events[0];
            assert!((at.t - t).abs() < 1e-10);
            let back = at.pull_back((-d, &[1.0]), (1.0, &[0.0])).unwrap();
            let g_bar = back.g_bar;
            let pulled = kept.pull_back(&mut field, &[back.cotangent]).unwrap();
            // dg/dc = -1, dg/dd = -T
            let found = [pulled.y_bar[0], pulled.theta_bar[0], -g_bar, -at.t * g_bar];
            let error = relative_error(&found, &expected);
            assert!(error < 1e-8, "{adjoint:?}, {terminal}: {error:e}");
        }
    }
}

#[test]
fn the_discrete_gradient_of_an_event_is_that_of_the_numbers_however_coarse_the_steps() {
    // Three steps of a method of order 3: far from the true solution, near to its own derivative.
    let solve = |y0: f64, theta: f64| {
        let options = SolveOptions::new(0.0, 6.0, 1e-3, 1e-3)
            .with_controller(Controller::Constant { dt: 2.0 });
        let mut field = GROWTH;
        field.parameters = [theta];
        let (solution, kept) = Solve::new(&mut field, [y0], &options)
            .event(Event::new(|t: f64, y: &[f64; 1]| y[0] - 3.0 - 0.2 * t).terminal())
            .run_keeping(&BOSH3)
            .unwrap();
        (solution, kept)
    };
    let loss = |y0, theta| {
        let (solution, _) = solve(y0, theta);
        solution.t + 0.3 * solution.y[0].powi(2)
    };
    let (solution, kept) = solve(0.5, 0.7);
    assert!(
        (solution.y[0] - 0.5 * (0.7 * solution.t).exp()).abs() > 1e-3,
        "coarse steps"
    );
    let at = &solution.events[0];
    let back = at
        .pull_back((-0.2, &[1.0]), (1.0, &[0.6 * at.y[0]]))
        .unwrap();
    let mut field = GROWTH;
    let pulled = kept.pull_back(&mut field, &[back.cotangent]).unwrap();
    let expected = [
        crate::support::derivative(|d| loss(0.5 + d, 0.7)),
        crate::support::derivative(|d| loss(0.5, 0.7 + d)),
    ];
    let found = [pulled.y_bar[0], pulled.theta_bar[0]];
    let error = relative_error(&found, &expected);
    assert!(error < 1e-9, "{found:?}, {expected:?}: {error:e}");
}

#[test]
fn an_event_that_only_touches_zero_has_no_gradient_and_says_so() {
    let options = SolveOptions::new(0.0, 6.0, 1e-9, 1e-9);
    let solution = rotate(
        &options,
        SaveAt::end(),
        vec![Event::new(|_, y: &[f64; 2]| y[1])],
    );
    let at = &solution.events[0];
    // The gradient of some other function, which is parallel to the solution.
    let parallel = [-at.dy[1], at.dy[0]];
    for gradient in [
        parallel,
        [parallel[0], parallel[1] * (1.0 + 1e-10)],
        [0.0, 0.0],
    ] {
        let error = at
            .pull_back((0.0, &gradient), (1.0, &[0.0, 0.0]))
            .unwrap_err();
        let SolveError::GrazingEvent { event: 0, t, .. } = error else {
            panic!("{error:?}");
        };
        assert_eq!(t, at.t);
        assert!(error.to_string().contains("touches"));
    }
    let error = at
        .pull_back((f64::NAN, &[0.0, 1.0]), (1.0, &[0.0, 0.0]))
        .unwrap_err();
    assert!(matches!(
        error,
        SolveError::NonFinite {
            quantity: Quantity::EventFunction,
            ..
        }
    ));
    let error = at
        .pull_back((0.0, &[0.0, 1.0]), (f64::INFINITY, &[0.0, 0.0]))
        .unwrap_err();
    assert!(matches!(
        error,
        SolveError::NonFinite {
            quantity: Quantity::Cotangent,
            ..
        }
    ));
}
