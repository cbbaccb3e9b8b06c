//! Every adjoint, with every tableau, on fields written by hand: published gradients, orders, checkpoints, failures.

use crate::support::{relative_error, Field, ADJOINTS};
use neuralode_core::{
    ode::{
        adjoint::{pull_back, solve_keeping, Cotangent, Pullback},
        error::Quantity,
        method::{ButcherTableau, DOPRI5, DOPRI8, TSIT5},
        output::saved_points::solve_at,
        trajectory::Trajectory,
    },
    Adjoint, Controller, SolveError, SolveOptions,
};

/// Calls a function that is generic over the number of stages with several tableaus.
macro_rules! with_every_tableau {
    ($check:ident $(, $argument:expr)*) => {
        $check(&TSIT5 $(, $argument)*);
        $check(&DOPRI5 $(, $argument)*);
        $check(&DOPRI8 $(, $argument)*);
    };
}

/// `y' = M y`
const LINEAR: Field<2, 4> = Field {
    parameters: [0.1, -1.0, 1.0, -0.1],
    f: |_, y, m| [m[0] * y[0] + m[1] * y[1], m[2] * y[0] + m[3] * y[1]],
    products: |_, y, m, c| {
        (
            [m[0] * c[0] + m[2] * c[1], m[1] * c[0] + m[3] * c[1]],
            [c[0] * y[0], c[0] * y[1], c[1] * y[0], c[1] * y[1]],
        )
    },
};

/// `[p1 u1 - p2 u1 u2 t, -p3 u2 + t p4 u1 u2]`
const LOTKA_VOLTERRA: Field<2, 4> = Field {
    parameters: [1.5, 1.0, 3.0, 1.0],
    f: |t, [x, y], p| [p[0] * x - p[1] * x * y * t, -p[2] * y + t * p[3] * x * y],
    products: |t, [x, y], p, c| {
        (
            [
                c[0] * (p[0] - p[1] * y * t) + c[1] * t * p[3] * y,
                -c[0] * p[1] * x * t + c[1] * (-p[2] + t * p[3] * x),
            ],
            [c[0] * x, -c[0] * x * y * t, -c[1] * y, c[1] * t * x * y],
        )
    },
};

/// `tanh(W2 tanh(W1 y + b1) + b2)` with 3 hidden features; parameters `W1, b1, W2, b2`, by rows.
fn mlp() -> Field<2, 17> {
    fn layers(y: &[f64; 2], p: &[f64; 17]) -> ([f64; 3], [f64; 2]) {
        let hidden: [f64; 3] =
            core::array::from_fn(|i| (p[2 * i] * y[0] + p[2 * i + 1] * y[1] + p[6 + i]).tanh());
        let out = core::array::from_fn(|o| {
            let sum: f64 = (0..3).map(|i| p[9 + 3 * o + i] * hidden[i]).sum();
            (sum + p[15 + o]).tanh()
        });
        (hidden, out)
    }
    let mut parameters = [0.0; 17];
    for k in 0..6 {
        parameters[k] = ((k / 2) as f64 + 2.0 * (k % 2) as f64).cos();
        parameters[9 + k] = (1.0 + (k / 3) as f64 + 2.0 * (k % 3) as f64).sin();
    }
    parameters[7..9].copy_from_slice(&[0.1, 0.2]);
    parameters[15..].copy_from_slice(&[-0.2, -0.1]);
    Field {
        parameters,
        f: |_, y, p| layers(y, p).1,
        products: |_, y, p, c| {
            let (hidden, out) = layers(y, p);
            let (mut y_bar, mut p_bar, mut hidden_bar) = ([0.0; 2], [0.0; 17], [0.0; 3]);
            for o in 0..2 {
                let d = c[o] * (1.0 - out[o] * out[o]);
                p_bar[15 + o] = d;
                for i in 0..3 {
                    p_bar[9 + 3 * o + i] = d * hidden[i];
                    hidden_bar[i] += d * p[9 + 3 * o + i];
                }
            }
            for i in 0..3 {
                let d = hidden_bar[i] * (1.0 - hidden[i] * hidden[i]);
                p_bar[6 + i] = d;
                for j in 0..2 {
                    p_bar[2 * i + j] = d * y[j];
                    y_bar[j] += d * p[2 * i + j];
                }
            }
            (y_bar, p_bar)
        },
    }
}

const LORENZ: Field<3, 3> = Field {
    parameters: [10.0, 28.0, 8.0 / 3.0],
    f: |_, [x, y, z], [s, r, b]| [s * (y - x), x * (r - z) - y, x * y - b * z],
    products: |_, [x, y, z], [s, r, b], c| {
        (
            [
                -s * c[0] + (r - z) * c[1] + y * c[2],
                s * c[0] - c[1] + x * c[2],
                -x * c[1] - b * c[2],
            ],
            [(y - x) * c[0], x * c[1], -z * c[2]],
        )
    },
};

/// The gradient of `sum_i c_i . y(t_i)`, where `cotangents` gives the `c_i` from the values.
fn gradient<const N: usize, const P: usize, const S: usize>(
    tableau: &'static ButcherTableau<S>,
    field: &Field<N, P>,
    y0: [f64; N],
    times: &[f64],
    cotangent: impl Fn(&[f64; N]) -> [f64; N],
    options: &SolveOptions,
) -> Result<Pullback<[f64; N], [f64; P]>, SolveError> {
    let mut field = *field;
    let (values, _, kept) = solve_keeping(&mut field, tableau, y0, times, options)?;
    let pairs = times.iter().zip(&values);
    let cotangents: Vec<_> = pairs
        .map(|(t, y)| Cotangent {
            t: *t,
            value: cotangent(y),
        })
        .collect();
    kept.pull_back(&mut field, &cotangents)
}

/// Asserts that a gradient has these parts to a bound, relative to their largest number.
fn assert_gradient<const N: usize, const P: usize>(
    what: &str,
    found: &Pullback<[f64; N], [f64; P]>,
    (theta, start): (&[f64; P], &[f64; N]),
    bound: f64,
) {
    let errors = [
        relative_error(&found.theta_bar, theta),
        relative_error(&found.y_bar, start),
    ];
    println!("{what}: {errors:?}");
    assert!(
        errors.iter().all(|error| *error < bound),
        "{what}: {errors:?}"
    );
}

fn linear_sensitivities<const S: usize>(tableau: &'static ButcherTableau<S>) {
    let cases: [(&[f64], [f64; 4], [f64; 2]); 3] = [
        (
            &[9.5],
            [
                -36.156_025_115_875_49,
                -13.587_414_406_137_06,
                15.281_740_053_315_06,
                -31.937_853_804_290_42,
            ],
            [-0.667_697_539_800_515_5, -1.259_366_813_418_23],
        ),
        (
            &[0.3, 7.0, 9.5],
            [
                -21.406_568_758_442_83,
                10.968_701_133_835_46,
                -6.906_820_791_770_468,
                -20.002_643_539_380_93,
            ],
            [1.673_146_551_214_48, 0.254_712_146_048_927_2],
        ),
        (
            &[2.0],
            [
                -6.853_828_403_973_226,
                7.724_588_037_047_133,
                -1.438_902_285_934_92,
                -2.831_424_346_111_836,
            ],
            [0.977_111_097_830_633_6, -1.217_890_275_573_631],
        ),
    ];
    for (times, theta, start) in cases {
        for adjoint in ADJOINTS {
            let options = SolveOptions::new(0.3, 9.5, 1e-12, 1e-12)
                .with_adjoint(adjoint)
                .with_max_steps(100_000);
            let y0 = [0.9, 5.4];
            let found = gradient(tableau, &LINEAR, y0, times, |_| [1.0, 1.0], &options).unwrap();
            let what = format!("{}, {adjoint:?}, {times:?}", tableau.name);
            assert_gradient(&what, &found, (&theta, &start), 1e-9);
        }
    }
}

#[test]
fn every_adjoint_has_the_exact_sensitivities_of_a_linear_system() {
    with_every_tableau!(linear_sensitivities);
}

fn lotka_volterra_sensitivities<const S: usize>(tableau: &'static ButcherTableau<S>) {
    let times: Vec<f64> = (0..=20).map(|i| f64::from(i) * 0.5).collect();
    let theta = [
        13.156_719_526_766_283,
        -16.810_514_043_534_893,
        7.702_708_131_414_365_9,
        -25.639_475_859_684_281,
    ];
    let start = [0.211_965_669_792_249_47, -17.191_005_070_736_326];
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.0, 10.0, 1e-13, 1e-13)
            .with_adjoint(adjoint)
            .with_max_steps(100_000);
        let toward_two = |[x, y]: &[f64; 2]| [x - 2.0, y - 2.0];
        let y0 = [1.0, 1.0];
        let found = gradient(tableau, &LOTKA_VOLTERRA, y0, &times, toward_two, &options).unwrap();
        let what = format!("{}, {adjoint:?}", tableau.name);
        assert_gradient(&what, &found, (&theta, &start), 1e-9);
    }
}

#[test]
fn every_adjoint_has_the_published_gradient_of_lotka_volterra_with_time() {
    with_every_tableau!(lotka_volterra_sensitivities);
}

fn mlp_sensitivities<const S: usize>(tableau: &'static ButcherTableau<S>) {
    let theta = [
        -0.175_381_708_1,
        0.408_494_379_2,
        0.085_408_237_17,
        -0.198_859_971_6,
        0.007_923_985_638,
        -0.013_224_919_05,
        -0.363_155_084_7,
        0.176_825_239_4,
        0.015_033_038_97,
        0.241_728_699,
        0.294_171_211_7,
        0.207_221_769_4,
        -0.878_200_314_6,
        -1.067_804_111,
        -0.744_592_855_3,
        0.325_257_642_7,
        -1.185_014_946,
    ];
    let start = [0.174_099_577_741, -1.310_150_293_97];
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.0, 1.0, 1e-12, 1e-12)
            .with_adjoint(adjoint)
            .with_max_steps(100_000);
        let found = gradient(tableau, &mlp(), [0.5, -1.0], &[1.0], |y| *y, &options).unwrap();
        // Published to ten digits.
        let what = format!("{}, {adjoint:?}", tableau.name);
        assert_gradient(&what, &found, (&theta, &start), 1e-9);
    }
}

#[test]
fn every_adjoint_has_the_published_gradient_of_an_mlp() {
    with_every_tableau!(mlp_sensitivities);
}

fn agreement<const N: usize, const P: usize, const S: usize>(
    tableau: &'static ButcherTableau<S>,
    field: &Field<N, P>,
    (t0, t1): (f64, f64),
    y0: [f64; N],
) {
    let at = |part: f64| t0 + part * (t1 - t0);
    let several = [at(0.0), at(0.13), at(0.13), at(0.61), at(1.0)];
    for times in [&[t1][..], &several, &[at(0.4)]] {
        let of = |adjoint| {
            let options = SolveOptions::new(t0, t1, 1e-12, 1e-12)
                .with_adjoint(adjoint)
                .with_max_steps(100_000);
            let square = |y: &[f64; N]| y.map(|y| y + 0.3);
            gradient(tableau, field, y0, times, square, &options).unwrap()
        };
        let expected = of(Adjoint::Discrete);
        for adjoint in ADJOINTS {
            let found = of(adjoint);
            let what = format!("{}, {adjoint:?}, {t0}..{t1} at {times:?}", tableau.name);
            assert_gradient(&what, &found, (&expected.theta_bar, &expected.y_bar), 1e-8);
            if matches!(adjoint, Adjoint::Checkpointed { .. }) {
                assert_eq!(found.theta_bar, expected.theta_bar);
                assert_eq!(found.y_bar, expected.y_bar);
            }
        }
    }
}

#[test]
fn all_adjoints_agree_at_the_end_at_several_times_and_backwards_in_time() {
    for span in [(0.3, 4.0), (2.0, -1.0)] {
        with_every_tableau!(agreement, &LINEAR, span, [0.9, 5.4]);
        with_every_tableau!(agreement, &mlp(), span, [0.5, -1.0]);
    }
    for span in [(0.0, 3.0), (1.5, 0.5)] {
        with_every_tableau!(agreement, &LOTKA_VOLTERRA, span, [1.0, 1.0]);
    }
}

/// The observed order of a gradient over `span`, from 128 and 512 steps: a third of the span, and two, lie at the same
/// place inside steps of both.
fn order(of: impl Fn(f64) -> Vec<f64>, exact: &[f64], span: f64) -> f64 {
    let errors = [128.0, 512.0].map(|steps| relative_error(&of(span / steps), exact));
    (errors[0] / errors[1]).log2() / 2.0
}

fn flat<const N: usize, const P: usize>(found: &Pullback<[f64; N], [f64; P]>) -> Vec<f64> {
    [&found.y_bar[..], &found.theta_bar].concat()
}

/// The gradient of `y(t)` itself as cotangents, for so many equal steps over `0..6`.
fn of_equal_steps<const S: usize>(
    tableau: &'static ButcherTableau<S>,
    times: &[f64],
    dt: f64,
    adjoint: Adjoint,
) -> Vec<f64> {
    // Tolerances matter to the quadrature alone.
    let options = SolveOptions::new(0.0, 6.0, 1e-14, 1e-14)
        .with_controller(Controller::Constant { dt })
        .with_adjoint(adjoint);
    flat(&gradient(tableau, &LINEAR, [1.0, 1.0], times, |y| *y, &options).unwrap())
}

fn gradient_orders<const S: usize>(tableau: &'static ButcherTableau<S>) {
    for times in [&[6.0][..], &[2.0, 4.0]] {
        let exact = of_equal_steps(&TSIT5, times, 6.0 / 4096.0, Adjoint::Discrete);
        for adjoint in ADJOINTS {
            let of = |dt| of_equal_steps(tableau, times, dt, adjoint);
            let expected = tableau.order.min(tableau.dense_order + 1) as f64;
            let found = order(of, &exact, 6.0);
            println!("{}, {adjoint:?}, {times:?}: {found:.3}", tableau.name);
            assert!(
                (found - expected).abs() < 0.25,
                "{}, {adjoint:?}: {found}, not {expected}",
                tableau.name
            );
        }
    }
}

#[test]
fn the_gradient_of_equal_steps_converges_with_the_documented_order() {
    gradient_orders(&TSIT5);
    gradient_orders(&DOPRI5);
}

#[test]
fn the_gradient_of_dopri8_converges_with_the_order_of_its_steps_or_of_its_interpolant() {
    // A problem whose errors are still above those of rounding when the order shows. Times inside the span lie at the
    // same place inside steps of both sizes.
    let cases: [(&[f64], [f64; 2]); 2] = [(&[3.0], [72.0, 128.0]), (&[1.2, 2.4], [66.0, 131.0])];
    for (times, steps) in cases {
        for adjoint in ADJOINTS {
            let of = |steps| {
                let options = SolveOptions::new(0.0, 3.0, 1e-13, 1e-13)
                    .with_controller(Controller::Constant { dt: 3.0 / steps })
                    .with_adjoint(adjoint);
                let (field, y0) = (&LOTKA_VOLTERRA, [1.0, 1.0]);
                flat(&gradient(&DOPRI8, field, y0, times, |y| *y, &options).unwrap())
            };
            let exact = of(1000.0);
            let errors = steps.map(|steps| relative_error(&of(steps), &exact));
            let found = (errors[0] / errors[1]).log2() / (steps[1] / steps[0]).log2();
            // These see the ends of steps alone, where no time lies inside.
            let by_steps = matches!(
                adjoint,
                Adjoint::Discrete | Adjoint::Checkpointed { .. } | Adjoint::Backsolve
            );
            let expected = if by_steps && times.len() == 1 {
                DOPRI8.order
            } else {
                DOPRI8.dense_order + 1
            };
            println!("{adjoint:?}, {times:?}: {found:.3}, errors {errors:?}");
            assert!(
                (found - expected as f64).abs() < 0.25,
                "{adjoint:?}, {times:?}: {found}, not {expected}, errors {errors:?}"
            );
        }
    }
}

/// The smallest budget in bytes that a solve has not refused, found by asking.
fn least_budget(solve: impl Fn(usize) -> Result<(), SolveError>) -> usize {
    let mut bytes = 1;
    for _ in 0..100 {
        match solve(bytes) {
            Ok(()) => return bytes,
            Err(SolveError::CheckpointBudget {
                bytes: given,
                needed,
                ..
            }) => {
                assert!(given == bytes && needed > bytes, "{needed} for {bytes}");
                bytes = needed;
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    panic!("no budget is enough");
}

fn checkpoints<const N: usize, const P: usize, const S: usize>(
    tableau: &'static ButcherTableau<S>,
    field: &Field<N, P>,
    y0: [f64; N],
) {
    let options = SolveOptions::new(0.0, 10.0, 1e-10, 1e-10);
    let times: Vec<f64> = (0..=20).map(|i| f64::from(i) * 0.5).collect();
    let of = |adjoint| {
        let options = options.clone().with_adjoint(adjoint);
        gradient(tableau, field, y0, &times, |y| *y, &options)
    };
    let expected = of(Adjoint::Discrete).unwrap();
    let checkpointed = |bytes| of(Adjoint::Checkpointed { bytes });
    let least = least_budget(|bytes| checkpointed(bytes).map(|_| ()));
    let budgets = [0, 1, 100, 1000, 10_000, 100_000, 10_000_000].map(|more| least + more);
    let calls = budgets.map(|bytes| {
        let found = checkpointed(bytes).unwrap();
        assert_eq!(found.y_bar, expected.y_bar, "{bytes}");
        assert_eq!(found.theta_bar, expected.theta_bar, "{bytes}");
        assert_eq!(found.stats.vjps, expected.stats.vjps);
        found.stats.field_calls
    });
    println!(
        "{}, {N}: least {least}, field calls {calls:?}",
        tableau.name
    );
    // What memory buys.
    assert!(calls.windows(2).all(|pair| pair[0] >= pair[1]), "{calls:?}");
    assert!(calls[0] > calls[6]);
}

/// `y_i' = p cos(t) y_i`, of a state that a small budget holds a few times.
const WIDE: Field<64, 1> = Field {
    parameters: [1.3],
    f: |t, y, [p]| y.map(|y| p * t.cos() * y),
    products: |t, y, [p], c| {
        let product: f64 = y.iter().zip(c).map(|(y, c)| y * c).sum();
        (c.map(|c| p * t.cos() * c), [t.cos() * product])
    },
};

#[test]
fn checkpoints_give_the_bits_of_the_discrete_adjoint_with_any_budget_that_is_enough() {
    with_every_tableau!(checkpoints, &LOTKA_VOLTERRA, [1.0, 1.0]);
    with_every_tableau!(checkpoints, &WIDE, core::array::from_fn(|i| 0.1 * i as f64));
}

#[test]
fn a_budget_that_is_too_small_is_an_error_that_says_what_is_needed() {
    let options =
        SolveOptions::new(0.0, 1.0, 1e-6, 1e-6).with_adjoint(Adjoint::Checkpointed { bytes: 500 });
    let error = gradient(&TSIT5, &LINEAR, [1.0, 0.0], &[1.0], |y| *y, &options).unwrap_err();
    let SolveError::CheckpointBudget {
        bytes: 500,
        needed,
        steps: 1,
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(error.to_string().contains(&needed.to_string()), "{error}");
    let enough = options.with_adjoint(Adjoint::Checkpointed { bytes: needed });
    assert!(gradient(&TSIT5, &LINEAR, [1.0, 0.0], &[1.0], |y| *y, &enough).is_ok());
}

/// The gradient of the sum of the end state, after 3 units of time: contraction by `exp(-13.7 * 3)`.
fn lorenz(adjoint: Adjoint, times: &[f64]) -> Result<Vec<f64>, SolveError> {
    let options = SolveOptions::new(0.0, 3.0, 1e-12, 1e-12)
        .with_adjoint(adjoint)
        .with_max_steps(100_000);
    let mut field = LORENZ;
    let y0 = [1.0, 0.0, 0.0];
    let (_, _, kept) = solve_keeping(&mut field, &TSIT5, y0, times, &options)?;
    let last = times.len() - 1;
    let cotangents: Vec<_> = times
        .iter()
        .enumerate()
        .map(|(index, t)| Cotangent {
            t: *t,
            value: [f64::from(u8::from(index == last)); 3],
        })
        .collect();
    Ok(flat(&kept.pull_back(&mut field, &cotangents)?))
}

#[test]
fn the_backsolve_adjoint_is_wrong_on_the_lorenz_system_and_saved_points_help() {
    let exact = lorenz(Adjoint::Discrete, &[3.0]).unwrap();
    for adjoint in [Adjoint::Interpolating, Adjoint::Gauss, Adjoint::Quadrature] {
        let error = relative_error(&lorenz(adjoint, &[3.0]).unwrap(), &exact);
        assert!(error < 1e-6, "{adjoint:?}: {error:e}");
    }
    let alone = lorenz(Adjoint::Backsolve, &[3.0]);
    println!("{alone:?}, not {exact:?}");
    let wrong = alone.map_or(f64::INFINITY, |found| relative_error(&found, &exact));
    assert!(wrong > 0.1, "documented as wrong, found {wrong:e}");
    let times: Vec<f64> = (1..=30)
        .map(|i| 0.1 * f64::from(i))
        .map(|t| t.min(3.0))
        .collect();
    let with_points = lorenz(Adjoint::Backsolve, &times).unwrap();
    let error = relative_error(&with_points, &exact);
    assert!(error < 1e-6, "{error:e}");
}

#[test]
fn a_cotangent_where_backsolve_saved_nothing_is_a_typed_error() {
    let mut field = LINEAR;
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6).with_adjoint(Adjoint::Backsolve);
    let (_, _, kept) =
        solve_keeping(&mut field, &TSIT5, [1.0, 0.0], &[0.5, 1.0], &options).unwrap();
    let cotangents = [0.5, 0.7, 1.0].map(|t| Cotangent {
        t,
        value: [1.0, 1.0],
    });
    let error = kept.pull_back(&mut field, &cotangents).unwrap_err();
    assert_eq!(
        error,
        SolveError::TimeNotSaved {
            index: 1,
            found: 0.7
        }
    );
    // From a trajectory it takes the values that it needs.
    let mut trajectory = Trajectory::new(&TSIT5);
    solve_at(
        &mut field,
        &TSIT5,
        [1.0, 0.0],
        &[1.0],
        &options,
        &mut trajectory,
    )
    .unwrap();
    assert!(pull_back(&mut field, &trajectory, &cotangents, &options).is_ok());
}

#[test]
fn a_quadrature_that_does_not_reach_its_tolerance_is_a_typed_error() {
    // A product by the parameters that jumps everywhere: no sum of its values is exact.
    let mut field = LINEAR;
    field.products = |t, y, m, c| {
        let noise = (1e7 * t).sin() * 1e4;
        let (bar, mut theta) = (LINEAR.products)(t, y, m, c);
        theta[0] += noise - noise.floor();
        (bar, theta)
    };
    for adjoint in [Adjoint::Quadrature, Adjoint::Gauss] {
        let options = SolveOptions::new(0.0, 1.0, 1e-9, 1e-9).with_adjoint(adjoint);
        let error = gradient(&TSIT5, &field, [1.0, 0.0], &[1.0], |y| *y, &options).unwrap_err();
        let SolveError::Quadrature {
            error: left,
            pieces,
            ..
        } = error
        else {
            panic!("{error:?}");
        };
        assert!(left > 1.0 && pieces >= 1000, "{left} {pieces}");
    }
}

#[test]
fn an_integrand_that_is_not_finite_is_a_typed_error() {
    let mut field = LINEAR;
    field.products = |_, _, m, c| {
        (
            [m[0] * c[0] + m[2] * c[1], m[1] * c[0] + m[3] * c[1]],
            [f64::NAN; 4],
        )
    };
    let options = SolveOptions::new(0.0, 1.0, 1e-6, 1e-6).with_adjoint(Adjoint::Quadrature);
    let error = gradient(&TSIT5, &field, [1.0, 0.0], &[1.0], |y| *y, &options).unwrap_err();
    assert!(
        matches!(
            error,
            SolveError::NonFinite {
                quantity: Quantity::Integrand,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn the_gradients_of_the_times_are_those_of_finite_differences() {
    let y0 = [1.0, 1.0];
    // The first time is saved inside the span, the second at its end.
    let loss = |t0: f64, times: [f64; 2]| -> f64 {
        let options = SolveOptions::new(t0, times[1], 1e-13, 1e-13);
        let mut field = LOTKA_VOLTERRA;
        let values = solve_at(&mut field, &TSIT5, y0, &times, &options, &mut ());
        let squares = values.unwrap().0.into_iter().flatten();
        squares.map(|y| 0.5 * y * y).sum()
    };
    let times = [1.3, 2.0];
    for adjoint in ADJOINTS {
        let options = SolveOptions::new(0.2, 2.0, 1e-12, 1e-12).with_adjoint(adjoint);
        let mut field = LOTKA_VOLTERRA;
        let (values, _, kept) = solve_keeping(&mut field, &TSIT5, y0, &times, &options).unwrap();
        let cotangents = [0, 1].map(|i| Cotangent {
            t: times[i],
            value: values[i],
        });
        let pulled = kept.pull_back(&mut field, &cotangents).unwrap();
        let found = pulled
            .time_gradients(&mut field, (0.2, &y0), &values, &cotangents)
            .unwrap();
        let expected = [
            crate::support::derivative(|d| loss(0.2 + d, times)),
            crate::support::derivative(|d| loss(0.2, [times[0] + d, times[1]])),
            crate::support::derivative(|d| loss(0.2, [times[0], times[1] + d])),
        ];
        let found_all = [found.t0, found.saved[0], found.saved[1]];
        let error = relative_error(&found_all, &expected);
        assert!(error < 1e-8, "{adjoint:?}: {found_all:?}, {expected:?}");
        assert_eq!(found.stats.field_calls, 3);
    }
}
