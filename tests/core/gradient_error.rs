//! Gradients are right, or an estimate or an error says that they are not: fields by hand.

use crate::support::{Field, ADJOINTS};
use neuralode_core::{
    ode::{
        adjoint::{solve_keeping, Cotangent, Pullback},
        error::Quantity,
        field::Differentiable,
        method::{ButcherTableau, WithTableau},
    },
    Adjoint, Control, Controller, GradientCheck, SolveError, SolveOptions, Solver,
};

type Gradient<const N: usize, const P: usize> = Result<Pullback<[f64; N], [f64; P]>, SolveError>;

/// The gradient of `L = sum of c . y(t)` over the cotangents `(t, c)`, with the options' method.
fn gradient<const N: usize, const P: usize>(
    field: &Field<N, P>,
    y0: [f64; N],
    cotangents: &[(f64, [f64; N])],
    options: &SolveOptions,
) -> Gradient<N, P> {
    struct By<'a, const N: usize, const P: usize>(
        Field<N, P>,
        [f64; N],
        &'a [(f64, [f64; N])],
        &'a SolveOptions,
    );
    impl<const N: usize, const P: usize> WithTableau for By<'_, N, P>
    where
        Field<N, P>: Differentiable<State = [f64; N], Params = [f64; P]>,
    {
        type Output = Gradient<N, P>;
        fn run<const S: usize>(mut self, tableau: &'static ButcherTableau<S>) -> Self::Output {
            let times: Vec<f64> = self.2.iter().map(|(t, _)| *t).collect();
            let (_, _, kept) = solve_keeping(&mut self.0, tableau, self.1, &times, self.3)?;
            let cotangents = self.2.iter().map(|&(t, value)| Cotangent { t, value });
            kept.pull_back(&mut self.0, &cotangents.collect::<Vec<_>>())
        }
    }
    options
        .solver
        .with_tableau(By(*field, y0, cotangents, options))
}

/// `y' = -(y - p)`, at rest at `y = p`.
fn at_rest() -> Field<1, 1> {
    Field {
        parameters: [1.0],
        f: |_, y, p| [p[0] - y[0]],
        products: |_, _, _, c| ([-c[0]], [c[0]]),
    }
}

/// `y' = -p (y - cos t)`: follows the cosine, fast.
fn follower(p: f64) -> Field<1, 1> {
    Field {
        parameters: [p],
        f: |t, y, p| [-p[0] * (y[0] - t.cos())],
        products: |t, y, p, c| ([-p[0] * c[0]], [-(y[0] - t.cos()) * c[0]]),
    }
}

fn options(t1: f64, tolerance: f64) -> SolveOptions {
    SolveOptions::new(0.0, t1, tolerance, tolerance)
}

#[test]
fn a_discrete_gradient_at_rest_is_right_or_an_error_with_every_method_and_controller() {
    let exact = [(-10.0_f64).exp(), 1.0 - (-10.0_f64).exp()];
    for solver in Solver::ALL {
        for tolerance in [1e-2, 1e-3, 1e-6, 1e-9] {
            for controller in [
                Controller::I,
                Controller::PI,
                Controller::Pid {
                    p: 0.2,
                    i: 0.4,
                    d: 0.0,
                },
                Controller::Constant { dt: 2.5 },
                Controller::Constant { dt: 9.0 },
            ] {
                let constant = matches!(controller, Controller::Constant { .. });
                if !constant && !solver.adaptive() {
                    continue;
                }
                for adjoint in [Adjoint::Discrete, Adjoint::Checkpointed { bytes: 100_000 }] {
                    let options = options(10.0, tolerance)
                        .with_solver(solver)
                        .with_controller(controller)
                        .with_adjoint(adjoint);
                    let found = gradient(&at_rest(), [1.0], &[(10.0, [1.0])], &options);
                    let case = format!("{solver:?} {controller:?} {tolerance:e} {adjoint:?}");
                    match found {
                        Ok(found) => {
                            let wrong = (found.y_bar[0] - exact[0])
                                .abs()
                                .max((found.theta_bar[0] - exact[1]).abs());
                            assert!(
                                wrong < 10.0 * found.stats.gradient_error.max(1e-9),
                                "{case}: {wrong:e}, estimate {:e}",
                                found.stats.gradient_error
                            );
                        }
                        Err(SolveError::GradientError { error, limit, .. }) => {
                            assert!(error > limit, "{case}");
                        }
                        Err(other) => panic!("{case}: {other}"),
                    }
                }
            }
        }
    }
    // The case of the bug report, by default.
    let found = gradient(&at_rest(), [1.0], &[(10.0, [1.0])], &options(10.0, 1e-6));
    let error = found.unwrap_err();
    assert!(matches!(error, SolveError::GradientError { .. }), "{error}");
    println!("{error}");
    // What is asked for is given.
    let any = options(10.0, 1e-6).with_gradient_error_max(f64::INFINITY);
    let found = gradient(&at_rest(), [1.0], &[(10.0, [1.0])], &any).unwrap();
    assert!(
        found.stats.gradient_error > 0.3,
        "{}",
        found.stats.gradient_error
    );
    // Shorter steps are right.
    let short = options(10.0, 1e-6).with_dt_max(0.1);
    let found = gradient(&at_rest(), [1.0], &[(10.0, [1.0])], &short).unwrap();
    assert!((found.y_bar[0] - exact[0]).abs() < 1e-8 && found.stats.gradient_error < 1e-4);
}

#[test]
fn a_discrete_gradient_away_from_rest_is_an_error_where_steps_are_too_long_for_it() {
    let found = gradient(
        &follower(50.0),
        [1.0],
        &[(10.0, [1.0])],
        &options(10.0, 1e-3),
    );
    let error = found.unwrap_err();
    assert!(matches!(error, SolveError::GradientError { .. }), "{error}");
    let short = options(10.0, 1e-3).with_dt_max(0.02);
    let found = gradient(&follower(50.0), [1.0], &[(10.0, [1.0])], &short).unwrap();
    // d/dp of the solution that follows: -(sin - p cos ..)/p^2, see the list.
    assert!((found.theta_bar[0] - 2.04e-4).abs() < 1e-5, "{found:?}");
}

#[test]
fn continuous_adjoints_take_a_factor_of_the_loss_to_their_gradients() {
    // A rotation: dL/dy0 = c (cos 10, sin 10) for L = c y_0(10).
    let rotation = Field::<2, 1> {
        parameters: [1.0],
        f: |_, y, p| [p[0] * y[1], -p[0] * y[0]],
        products: |_, y, p, c| ([-p[0] * c[1], p[0] * c[0]], [y[1] * c[0] - y[0] * c[1]]),
    };
    let decay = Field::<2, 1> {
        parameters: [1.0],
        f: |t, y, p| [-p[0] * y[0] + y[1], -0.5 * y[1] * y[1] + t.sin()],
        products: |_, y, p, c| ([-p[0] * c[0], c[0] - y[1] * c[1]], [-y[0] * c[0]]),
    };
    let exact = [10.0_f64.cos(), 10.0_f64.sin()];
    // The table of docs/numerics.md.
    for (name, field, y0, t1, cotangent) in [
        ("rotation", rotation, [1.0, 0.0], 10.0, [1.0, 0.0]),
        ("decay", decay, [1.0, -0.5], 3.0, [1.0, 1.0]),
    ] {
        for adjoint in [
            Adjoint::Interpolating,
            Adjoint::Gauss,
            Adjoint::Quadrature,
            Adjoint::Backsolve,
        ] {
            let exact = {
                let options = options(t1, 1e-12).with_solver(Solver::Dopri8);
                gradient(&field, y0, &[(t1, cotangent)], &options).unwrap()
            };
            print!("| {name} | {adjoint:?} |");
            for c in [1e6, 1.0, 1.0 / 128.0, 1e-6] {
                let options = options(t1, 1e-3).with_adjoint(adjoint);
                let scaled = cotangent.map(|x| c * x);
                match gradient(&field, y0, &[(t1, scaled)], &options) {
                    Ok(found) => {
                        let parts = found.y_bar.iter().chain(&found.theta_bar);
                        let exact = exact.y_bar.iter().chain(&exact.theta_bar);
                        let wrong = parts.zip(exact).map(|(x, exact)| (x / c - exact).abs());
                        let wrong = wrong.fold(0.0, f64::max);
                        let steps = found.stats.accepted + found.stats.rejected;
                        print!(" {steps} steps, {wrong:.0e} |");
                    }
                    Err(error) => print!(" {error} |"),
                }
            }
            println!();
        }
    }
    for adjoint in ADJOINTS {
        for exponent in (-9..=9).chain([-300, -200, -165, -100, -40, 40, 100, 200, 300]) {
            let c = 10.0_f64.powi(exponent);
            let options = options(10.0, 1e-3).with_adjoint(adjoint);
            let found = gradient(&rotation, [1.0, 0.0], &[(10.0, [c, 0.0])], &options).unwrap();
            for (found_n, exact_n) in found.y_bar.iter().zip(exact) {
                let wrong = (found_n / c - exact_n).abs();
                assert!(wrong < 0.05, "{adjoint:?} {c:e}: {:?}", found.y_bar);
            }
            // dy_0(10)/dp = -10 sin(10 p)
            let wrong = (found.theta_bar[0] / c + 10.0 * 10.0_f64.sin()).abs();
            assert!(wrong < 0.5, "{adjoint:?} {c:e}: {:?}", found.theta_bar);
        }
    }
}

#[test]
fn a_gradient_that_is_refused_is_refused_for_losses_of_any_size() {
    for exponent in [-300, -200, -100, -38, 0, 100, 200, 300] {
        let c = 10.0_f64.powi(exponent);
        for adjoint in [Adjoint::Discrete, Adjoint::Checkpointed { bytes: 10_000 }] {
            let found = gradient(
                &at_rest(),
                [1.0],
                &[(10.0, [c])],
                &options(10.0, 1e-6).with_adjoint(adjoint),
            );
            assert!(
                matches!(found, Err(SolveError::GradientError { .. })),
                "{adjoint:?}, {c:e}: {found:?}"
            );
        }
    }
}

#[test]
fn a_second_look_finds_what_steps_without_an_estimate_do_to_a_continuous_gradient() {
    // Too long for the field: nothing of it shows at rest.
    let field = Field::<1, 1> {
        parameters: [50.0],
        f: |_, y, p| [-p[0] * y[0]],
        products: |_, y, p, c| ([-p[0] * c[0]], [-y[0] * c[0]]),
    };
    let equal = options(1.0, 1e-3)
        .with_solver(Solver::Rk4)
        .with_controller(Controller::Constant { dt: 0.1 });
    for adjoint in [
        Adjoint::Interpolating,
        Adjoint::Gauss,
        Adjoint::Quadrature,
        Adjoint::Backsolve,
    ] {
        let quick = equal.clone().with_adjoint(adjoint);
        let full = quick.clone().with_gradient_check(GradientCheck::Full);
        let found = gradient(&field, [0.0], &[(1.0, [1.0])], &full);
        assert!(
            matches!(found, Err(SolveError::GradientError { .. })),
            "{adjoint:?}: {found:?}"
        );
        let unknown = gradient(&field, [0.0], &[(1.0, [1.0])], &quick).unwrap();
        assert!(
            unknown.stats.gradient_error.is_nan(),
            "{adjoint:?}: {unknown:?}"
        );
    }
}

#[test]
fn the_gradient_of_another_solution_is_refused_under_every_adjoint() {
    // Lorenz 63: errors of the solution grow a millionfold.
    let lorenz = Field::<3, 1> {
        parameters: [10.0],
        f: |_, [x, y, z], p| [p[0] * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z],
        products: |_, [x, y, z], p, [a, b, c]| {
            (
                [
                    -p[0] * a + (28.0 - z) * b + y * c,
                    p[0] * a - b + x * c,
                    -x * b - 8.0 / 3.0 * c,
                ],
                [(y - x) * a],
            )
        },
    };
    let y0 = [1.0, 1.0, 1.0];
    // The loss sees the end alone, or has cotangents of zero on the way.
    for points in [1, 400] {
        let cotangents: Vec<(f64, [f64; 3])> = (1..=points)
            .map(|i| {
                let last = i == points;
                let t = 15.0 * f64::from(i) / f64::from(points);
                (t, [f64::from(u8::from(last)), 0.0, 0.0])
            })
            .collect();
        for adjoint in ADJOINTS {
            let options = options(15.0, 1e-4).with_adjoint(adjoint);
            let found = gradient(&lorenz, y0, &cotangents, &options);
            let refused = match &found {
                Err(SolveError::GradientError { .. }) => true,
                // Backwards, the attractor repels.
                Err(SolveError::MaxSteps { .. }) => adjoint == Adjoint::Backsolve,
                _ => false,
            };
            assert!(refused, "{adjoint:?}, {points} points: {found:?}");
        }
    }
}

#[test]
fn a_continuous_adjoint_does_not_know_the_error_of_steps_without_an_estimate() {
    for adjoint in [Adjoint::Interpolating, Adjoint::Gauss, Adjoint::Quadrature] {
        let options = options(1.0, 1e-3)
            .with_solver(Solver::Rk4)
            .with_controller(Controller::Constant { dt: 0.25 })
            .with_adjoint(adjoint);
        let found = gradient(&at_rest(), [0.5], &[(1.0, [1.0])], &options).unwrap();
        assert!(found.stats.gradient_error.is_nan(), "{adjoint:?}");
    }
}

#[test]
fn integrals_of_parameters_are_right_where_nothing_in_the_state_shows_them() {
    let forced = Field::<1, 1> {
        parameters: [0.5],
        f: |t, _, p| [p[0] * (20.0 * t).cos()],
        products: |t, _, _, c| ([0.0], [(20.0 * t).cos() * c[0]]),
    };
    let damped = Field::<1, 1> {
        parameters: [0.5],
        f: |t, y, p| [-0.01 * y[0] + p[0] * (20.0 * t).cos()],
        products: |t, _, _, c| ([-0.01 * c[0]], [(20.0 * t).cos() * c[0]]),
    };
    let rooted = Field::<1, 1> {
        parameters: [0.5],
        f: |t, _, p| [p[0] * t.max(0.0).sqrt()],
        products: |t, _, _, c| ([0.0], [t.max(0.0).sqrt() * c[0]]),
    };
    // Integral of exp(-0.01 (10 - t)) cos(20 t).
    let damped_exact = {
        let a = 0.01_f64;
        let end = (a * 200.0_f64.cos() + 20.0 * 200.0_f64.sin()) / (a * a + 400.0);
        end - a / (a * a + 400.0) * (-10.0 * a).exp()
    };
    for adjoint in ADJOINTS {
        for tolerance in [1e-3, 1e-6, 1e-9] {
            let cases = [
                (forced, 0.0, 1.0, 20.0_f64.sin() / 20.0, 1.0),
                (forced, 0.0, 10.0, 200.0_f64.sin() / 20.0, 10.0),
                (damped, 0.0, 10.0, damped_exact, 10.0),
                (rooted, 1.0, 0.008, 4.770_278_351_999_551e-4, 4.8e-4),
            ];
            for (index, (field, y0, t1, exact, scale)) in cases.into_iter().enumerate() {
                // The derivative of the steps is as wrong as the solution, whose steps suit `y = 1` and not its change.
                let of_steps = matches!(adjoint, Adjoint::Discrete | Adjoint::Checkpointed { .. });
                if of_steps && index == 3 {
                    continue;
                }
                let options = options(t1, tolerance).with_adjoint(adjoint);
                let found = gradient(&field, [y0], &[(t1, [1.0])], &options);
                let case = format!("{adjoint:?} {tolerance:e} case {index}");
                match found {
                    Ok(found) => {
                        let wrong = (found.theta_bar[0] - exact).abs() / scale;
                        println!("{case}: {wrong:e}, {:e}", found.stats.gradient_error);
                        assert!(
                            wrong < 10.0 * tolerance.max(found.stats.gradient_error),
                            "{case}: {} is not {exact}, estimate {:e}",
                            found.theta_bar[0],
                            found.stats.gradient_error
                        );
                    }
                    Err(SolveError::GradientError { .. }) if tolerance > 1e-4 => {}
                    Err(error) => panic!("{case}: {error}"),
                }
            }
        }
    }
}

#[test]
fn a_gradient_that_is_not_finite_is_an_error_with_its_step_under_every_adjoint() {
    // The derivative of the root is infinite where y begins.
    let root = Field::<1, 1> {
        parameters: [1.0],
        f: |_, y, p| [p[0] * y[0].abs().sqrt()],
        products: |_, y, p, c| {
            let root = y[0].abs().sqrt();
            ([0.5 * p[0] / root * c[0]], [root * c[0]])
        },
    };
    // NaN in the parameters' part alone.
    let lost = Field::<1, 1> {
        parameters: [1.0],
        f: |_, y, p| [-p[0] * y[0]],
        products: |t, y, p, c| {
            let nan = if t < 0.5 { f64::NAN } else { 1.0 };
            ([-p[0] * c[0]], [-y[0] * c[0] * nan])
        },
    };
    for adjoint in ADJOINTS {
        for (field, y0) in [(root, 0.0), (lost, 1.0)] {
            let options = options(1.0, 1e-3).with_adjoint(adjoint);
            let error = gradient(&field, [y0], &[(1.0, [1.0])], &options).unwrap_err();
            println!("{adjoint:?}: {error}");
            assert!(
                matches!(
                    error,
                    SolveError::NonFinite {
                        quantity: Quantity::SolveGradient
                            | Quantity::Step
                            | Quantity::VectorField
                            | Quantity::Integrand,
                        ..
                    } | SolveError::StepTooSmall { .. }
                ),
                "{adjoint:?}: {error}"
            );
        }
    }
}

/// Which of four parameters counts at `t`.
fn stage(t: f64) -> usize {
    [1.0, 2.0, 3.0].iter().filter(|jump| t > **jump).count()
}

#[test]
fn piecewise_constant_parameters_of_a_constant_solution_have_their_gradients() {
    let field = Field::<2, 4> {
        parameters: [1.0; 4],
        f: |t, y, p| {
            let a = p[stage(t)];
            [a * y[0] - y[0] * y[1], -a * y[1] + y[0] * y[1]]
        },
        products: |t, y, p, c| {
            let a = p[stage(t)];
            let mut theta = [0.0; 4];
            theta[stage(t)] = c[0] * y[0] - c[1] * y[1];
            (
                [
                    c[0] * (a - y[1]) + c[1] * y[1],
                    -c[0] * y[0] + c[1] * (y[0] - a),
                ],
                theta,
            )
        },
    };
    let exact = [
        37.607_133_321_739_76,
        35.924_588_944_055_82,
        19.601_050_931_211_528,
        3.644_304_852_364_465,
    ];
    let cotangents: Vec<_> = (0..=40)
        .map(|i| (f64::from(i) / 10.0, [1.0, 1.0]))
        .collect();
    for adjoint in ADJOINTS {
        let options = options(4.0, 1e-6)
            .with_jump_at(vec![1.0, 2.0, 3.0])
            .with_adjoint(adjoint);
        let found = gradient(&field, [1.0, 1.0], &cotangents, &options).unwrap();
        let wrong = found.theta_bar.iter().zip(exact);
        let wrong = wrong
            .map(|(found, exact)| (found - exact).abs() / 37.6)
            .fold(0.0, f64::max);
        println!(
            "{adjoint:?}: {wrong:e}, estimate {:e}",
            found.stats.gradient_error
        );
        assert!(
            wrong < 3.0 * found.stats.gradient_error.max(1e-6),
            "{adjoint:?}: {wrong:e}, estimate {:e}",
            found.stats.gradient_error
        );
    }
}

#[test]
fn steps_that_suit_gradients_have_gradients_at_the_tolerance() {
    for solver in Solver::ALL.into_iter().filter(|solver| solver.adaptive()) {
        for tolerance in [1e-2, 1e-3, 1e-6, 1e-9] {
            if solver.order() < 4 && tolerance < 1e-5 {
                continue;
            }
            for controller in [Controller::I, Controller::PI] {
                let options = options(10.0, tolerance)
                    .with_solver(solver)
                    .with_controller(controller)
                    .with_control(Control::Gradients { seed: 7 })
                    .with_max_steps(100_000);
                let found = gradient(&at_rest(), [1.0], &[(10.0, [1.0])], &options).unwrap();
                let case = format!("{solver:?} {controller:?} {tolerance:e}");
                let exact = (-10.0_f64).exp();
                let wrong = (found.y_bar[0] - exact)
                    .abs()
                    .max((found.theta_bar[0] - (1.0 - exact)).abs());
                println!("{case}: {wrong:e}");
                assert!(wrong < 10.0 * tolerance, "{case}: {wrong:e}");

                let found = gradient(&follower(50.0), [1.0], &[(10.0, [1.0])], &options);
                let found = found.unwrap_or_else(|error| panic!("{case}: {error}"));
                // The part that remembers y0 is gone.
                assert!(found.y_bar[0].abs() < 10.0 * tolerance, "{case}: {found:?}");
                assert!(
                    (found.theta_bar[0] - 2.04e-4).abs() < 1e-5 + tolerance,
                    "{case}: {found:?}"
                );
            }
        }
    }
}

#[test]
fn steps_that_suit_gradients_are_the_same_for_the_same_seed() {
    let run = |seed| {
        let options = options(3.0, 1e-4).with_control(Control::Gradients { seed });
        let found = gradient(&follower(20.0), [0.0], &[(3.0, [1.0])], &options).unwrap();
        (found.y_bar[0].to_bits(), found.theta_bar[0].to_bits())
    };
    assert_eq!(run(1), run(1));
}

#[test]
fn the_full_estimate_is_made_on_request() {
    let easy = follower(1.0);
    let run = |check| {
        let options = options(2.0, 1e-4).with_gradient_check(check);
        gradient(&easy, [0.5], &[(2.0, [1.0])], &options)
            .unwrap()
            .stats
    };
    let (quick, full) = (run(GradientCheck::Quick), run(GradientCheck::Full));
    assert!(full.vjps > 3 * quick.vjps - 8, "{quick:?} {full:?}");
    assert!(quick.gradient_error > 0.0 && quick.gradient_error < 0.05);
    assert!(full.gradient_error > 0.0 && full.gradient_error < 1e-2);
    let wrong = SolveOptions::default().with_gradient_error_max(-1.0);
    let error = gradient(&easy, [0.0], &[(1.0, [1.0])], &wrong).unwrap_err();
    assert_eq!(error, SolveError::InvalidGradientErrorMax { found: -1.0 });
}
