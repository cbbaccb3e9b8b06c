//! Solves with tangents: published gradients, adjoints and finite differences.

use crate::support::{relative_error, ADJOINTS};
use neuralode_core::{
    ode::{
        adjoint::{solve_keeping, Cotangent},
        error::Quantity,
        field::{Differentiable, Pushforward, VectorField},
        method::{ButcherTableau, WithTableau, DOPRI5, DOPRI8, TSIT5, VERN7},
        output::saved_points::solve_at,
        tangents::{solve_with_tangents, ErrorControl, Sensitivities},
    },
    Adjoint, Controller, SolveError, SolveOptions, Solver,
};

type Eval<const N: usize, const P: usize> = fn(f64, &[f64; N], &[f64; P]) -> [f64; N];

type Tangent<const N: usize, const P: usize> =
    fn(f64, (&[f64; N], &[f64; P]), (&[f64; N], &[f64; P])) -> [f64; N];

type Products<const N: usize, const P: usize> =
    fn(f64, &[f64; N], &[f64; P], &[f64; N]) -> ([f64; N], [f64; P]);

/// A field by hand, its tangent at a point along a direction, its products with a cotangent, and what was called.
#[derive(Clone, Copy)]
struct Field<const N: usize, const P: usize> {
    parameters: [f64; P],
    f: Eval<N, P>,
    tangent: Tangent<N, P>,
    products: Products<N, P>,
    evaluations: usize,
    jvps: usize,
}

impl<const N: usize, const P: usize> VectorField for Field<N, P> {
    type State = [f64; N];

    fn eval(&mut self, t: f64, y: &[f64; N], dy: &mut [f64; N]) -> Result<(), SolveError> {
        self.evaluations += 1;
        *dy = (self.f)(t, y, &self.parameters);
        Ok(())
    }
}

impl<const N: usize, const P: usize> Pushforward for Field<N, P> {
    type Params = [f64; P];

    fn jvp(
        &mut self,
        t: f64,
        y: &[f64; N],
        y_dot: &[f64; N],
        theta_dot: &[f64; P],
        out: &mut [f64; N],
    ) -> Result<(), SolveError> {
        self.jvps += 1;
        *out = (self.tangent)(t, (y, &self.parameters), (y_dot, theta_dot));
        Ok(())
    }
}

impl<const N: usize, const P: usize> Differentiable for Field<N, P> {
    type Params = [f64; P];

    fn zero_params(&mut self) -> Result<[f64; P], SolveError> {
        Ok([0.0; P])
    }

    fn vjp(
        &mut self,
        t: f64,
        y: &[f64; N],
        c: &[f64; N],
        y_bar: &mut [f64; N],
        theta_bar: &mut [f64; P],
    ) -> Result<(), SolveError> {
        (*y_bar, *theta_bar) = (self.products)(t, y, &self.parameters, c);
        Ok(())
    }
}

/// `y' = M y`
const LINEAR: Field<2, 4> = Field {
    parameters: [0.1, -1.0, 1.0, -0.1],
    f: |_, y, m| [m[0] * y[0] + m[1] * y[1], m[2] * y[0] + m[3] * y[1]],
    tangent: |_, (y, m), (v, d)| {
        [
            m[0] * v[0] + m[1] * v[1] + d[0] * y[0] + d[1] * y[1],
            m[2] * v[0] + m[3] * v[1] + d[2] * y[0] + d[3] * y[1],
        ]
    },
    products: |_, y, m, c| {
        (
            [m[0] * c[0] + m[2] * c[1], m[1] * c[0] + m[3] * c[1]],
            [c[0] * y[0], c[0] * y[1], c[1] * y[0], c[1] * y[1]],
        )
    },
    evaluations: 0,
    jvps: 0,
};

/// `[p1 u1 - p2 u1 u2 t, -p3 u2 + t p4 u1 u2]`
const LOTKA_VOLTERRA: Field<2, 4> = Field {
    parameters: [1.5, 1.0, 3.0, 1.0],
    f: |t, [x, y], p| [p[0] * x - p[1] * x * y * t, -p[2] * y + t * p[3] * x * y],
    tangent: |t, ([x, y], p), ([u, v], d)| {
        let xy = u * y + x * v;
        [
            p[0] * u - p[1] * xy * t + d[0] * x - d[1] * x * y * t,
            -p[2] * v + t * p[3] * xy - d[2] * y + t * d[3] * x * y,
        ]
    },
    products: |t, [x, y], p, c| {
        (
            [
                c[0] * (p[0] - p[1] * y * t) + c[1] * t * p[3] * y,
                -c[0] * p[1] * x * t + c[1] * (-p[2] + t * p[3] * x),
            ],
            [c[0] * x, -c[0] * x * y * t, -c[1] * y, c[1] * t * x * y],
        )
    },
    evaluations: 0,
    jvps: 0,
};

fn unit<const N: usize>(index: usize) -> [f64; N] {
    core::array::from_fn(|i| f64::from(u8::from(i == index)))
}

/// Every single number of `y0` and of the parameters as a direction, in this order.
fn all_directions<const N: usize, const P: usize>() -> Vec<([f64; N], [f64; P])> {
    let starts = (0..N).map(|i| (unit(i), [0.0; P]));
    starts.chain((0..P).map(|i| ([0.0; N], unit(i)))).collect()
}

/// The gradient of `sum_i c_i . y(t_i)` by `y0` and the parameters, assembled from tangents.
fn assembled<const N: usize>(
    found: &Sensitivities<[f64; N]>,
    cotangent: impl Fn(&[f64; N]) -> [f64; N],
) -> Vec<f64> {
    let of = |tangent: &Vec<[f64; N]>| {
        let pairs = found.values.iter().zip(tangent);
        let dots = pairs.map(|(y, s)| (0..N).map(|i| cotangent(y)[i] * s[i]).sum::<f64>());
        dots.sum()
    };
    found.tangents.iter().map(of).collect()
}

/// The same by an adjoint.
fn pulled_back<const N: usize, const P: usize, const S: usize>(
    tableau: &'static ButcherTableau<S>,
    field: &Field<N, P>,
    y0: [f64; N],
    times: &[f64],
    cotangent: impl Fn(&[f64; N]) -> [f64; N],
    options: &SolveOptions,
) -> Vec<f64> {
    let mut field = *field;
    // The derivative of the steps, whatever they are worth.
    let options = &options.clone().with_gradient_error_max(f64::INFINITY);
    let (values, _, kept) = solve_keeping(&mut field, tableau, y0, times, options).unwrap();
    let pairs = times.iter().zip(&values);
    let cotangents: Vec<_> = pairs
        .map(|(t, y)| Cotangent {
            t: *t,
            value: cotangent(y),
        })
        .collect();
    let found = kept.pull_back(&mut field, &cotangents).unwrap();
    [&found.y_bar[..], &found.theta_bar].concat()
}

fn assert_close(what: &str, found: &[f64], expected: &[f64], tolerance: f64) {
    let error = relative_error(found, expected);
    println!("{what}: {error:e}");
    assert!(
        error <= tolerance,
        "{what}: {error:e}\n{found:?}\n{expected:?}"
    );
}

fn published<const S: usize>(tableau: &'static ButcherTableau<S>) {
    for control in [ErrorControl::Full, ErrorControl::SolutionOnly] {
        let cases: [(&[f64], [f64; 6]); 3] = [
            (
                &[9.5],
                [
                    -0.667_697_539_800_515_5,
                    -1.259_366_813_418_23,
                    -36.156_025_115_875_49,
                    -13.587_414_406_137_06,
                    15.281_740_053_315_06,
                    -31.937_853_804_290_42,
                ],
            ),
            (
                &[0.3, 7.0, 9.5],
                [
                    1.673_146_551_214_48,
                    0.254_712_146_048_927_2,
                    -21.406_568_758_442_83,
                    10.968_701_133_835_46,
                    -6.906_820_791_770_468,
                    -20.002_643_539_380_93,
                ],
            ),
            (
                &[2.0],
                [
                    0.977_111_097_830_633_6,
                    -1.217_890_275_573_631,
                    -6.853_828_403_973_226,
                    7.724_588_037_047_133,
                    -1.438_902_285_934_92,
                    -2.831_424_346_111_836,
                ],
            ),
        ];
        for (times, expected) in cases {
            let options = SolveOptions::new(0.3, 9.5, 1e-12, 1e-12).with_max_steps(100_000);
            let found = solve_with_tangents(
                &mut LINEAR.clone(),
                tableau,
                [0.9, 5.4],
                all_directions(),
                times,
                &options,
                control,
            )
            .unwrap();
            let what = format!("{}, {control:?}, linear at {times:?}", tableau.name);
            assert_close(&what, &assembled(&found, |_| [1.0; 2]), &expected, 1e-9);
        }

        let times: Vec<f64> = (0..=20).map(|i| f64::from(i) * 0.5).collect();
        let expected = [
            0.211_965_669_792_249_47,
            -17.191_005_070_736_326,
            13.156_719_526_766_283,
            -16.810_514_043_534_893,
            7.702_708_131_414_365_9,
            -25.639_475_859_684_281,
        ];
        let options = SolveOptions::new(0.0, 10.0, 1e-13, 1e-13).with_max_steps(100_000);
        let found = solve_with_tangents(
            &mut LOTKA_VOLTERRA.clone(),
            tableau,
            [1.0, 1.0],
            all_directions(),
            &times,
            &options,
            control,
        )
        .unwrap();
        let gradient = assembled(&found, |u| u.map(|u| u - 2.0));
        let what = format!("{}, {control:?}, Lotka-Volterra", tableau.name);
        assert_close(&what, &gradient, &expected, 1e-9);
    }
}

#[test]
fn tangents_give_the_published_gradients() {
    published(&TSIT5);
    published(&DOPRI5);
    published(&DOPRI8);
    published(&VERN7);
}

/// Tangents, in equal steps, against the discrete adjoint of the same steps and against finite differences of them.
struct OfEqualSteps {
    span: (f64, f64),
    dt: f64,
}

impl WithTableau for OfEqualSteps {
    type Output = ();

    fn run<const S: usize>(self, tableau: &'static ButcherTableau<S>) {
        let (t0, t1) = self.span;
        let options = SolveOptions::new(t0, t1, 1e-6, 1e-6)
            .with_controller(Controller::Constant { dt: self.dt });
        let at = |part: f64| t0 + part * (t1 - t0);
        let times = [at(0.0), at(0.13), at(0.13), at(0.61), at(1.0)];
        let y0 = [1.0, 1.3];
        let solve = |field: &Field<2, 4>, y0| {
            let directions = all_directions();
            let mut field = *field;
            let control = ErrorControl::Full;
            solve_with_tangents(
                &mut field, tableau, y0, directions, &times, &options, control,
            )
            .unwrap()
        };
        let what = format!("{}, {:?}", tableau.name, self.span);

        let found = solve(&LOTKA_VOLTERRA, y0);
        let cotangent = |y: &[f64; 2]| y.map(|y| y + 0.3);
        let expected = pulled_back(tableau, &LOTKA_VOLTERRA, y0, &times, cotangent, &options);
        let gradient = assembled(&found, cotangent);
        assert_close(&format!("{what}, adjoint"), &gradient, &expected, 1e-12);

        for (index, tangents) in found.tangents.iter().enumerate() {
            let [low, high] = [-1e-5, 1e-5].map(|shift| {
                let (mut field, mut y0) = (LOTKA_VOLTERRA, y0);
                match index.checked_sub(2) {
                    None => y0[index] += shift,
                    Some(parameter) => field.parameters[parameter] += shift,
                }
                solve(&field, y0).values.concat()
            });
            let pairs = high.iter().zip(low);
            let difference: Vec<f64> = pairs.map(|(a, b)| (a - b) / 2e-5).collect();
            let what = format!("{what}, difference along {index}");
            assert_close(&what, &tangents.concat(), &difference, 1e-8);
        }
    }
}

#[test]
fn tangents_are_the_derivatives_of_the_steps_with_every_method() {
    for solver in Solver::ALL {
        for span in [(0.2, 2.0), (2.0, 0.5)] {
            solver.with_tableau(OfEqualSteps { span, dt: 0.05 });
        }
    }
}

#[test]
fn a_full_gradient_from_tangents_is_that_of_every_adjoint() {
    let cotangent = |y: &[f64; 2]| y.map(|y| y + 0.3);
    for (field, (t0, t1), y0) in [
        (LINEAR, (0.3, 4.0), [0.9, 5.4]),
        (LINEAR, (2.0, -1.0), [0.9, 5.4]),
        (LOTKA_VOLTERRA, (0.0, 3.0), [1.0, 1.0]),
        (LOTKA_VOLTERRA, (1.5, 0.5), [1.0, 1.0]),
    ] {
        let times = [t0, t0 + 0.13 * (t1 - t0), t0 + 0.61 * (t1 - t0), t1];
        for control in [ErrorControl::Full, ErrorControl::SolutionOnly] {
            let options = SolveOptions::new(t0, t1, 1e-12, 1e-12).with_max_steps(100_000);
            let (directions, mut f) = (all_directions(), field);
            let found =
                solve_with_tangents(&mut f, &TSIT5, y0, directions, &times, &options, control);
            let gradient = assembled(&found.unwrap(), cotangent);
            for adjoint in ADJOINTS {
                let options = options.clone().with_adjoint(adjoint);
                let expected = pulled_back(&TSIT5, &field, y0, &times, cotangent, &options);
                let same_steps =
                    adjoint == Adjoint::Discrete && control == ErrorControl::SolutionOnly;
                let tolerance = if same_steps { 1e-12 } else { 1e-8 };
                let what = format!("{control:?}, {adjoint:?}, {t0}..{t1}");
                assert_close(&what, &gradient, &expected, tolerance);
            }
        }
    }
}

#[test]
fn the_solution_alone_chooses_the_steps_of_a_plain_solve() {
    let times = [0.0, 0.7, 2.0, 5.0];
    for options in [
        SolveOptions::new(0.0, 5.0, 1e-4, 1e-6),
        SolveOptions::new(0.0, 5.0, 1e-4, 1e-6).with_controller(Controller::PI),
    ] {
        let y0 = [1.0, 1.0];
        let (mut f, control) = (LOTKA_VOLTERRA, ErrorControl::SolutionOnly);
        let (expected, work) = solve_at(&mut f, &TSIT5, y0, &times, &options, &mut ()).unwrap();
        let found = solve_with_tangents(
            &mut f,
            &TSIT5,
            y0,
            all_directions(),
            &times,
            &options,
            control,
        )
        .unwrap();
        assert_eq!(found.values, expected);
        assert_eq!(found.stats.jvps, 6 * work.field_calls);
        let mut without_products = found.stats;
        without_products.jvps = 0;
        assert_eq!(without_products, work);
    }
}

#[test]
fn a_solve_without_directions_is_a_plain_solve() {
    let (times, options) = ([0.0, 0.7, 5.0], SolveOptions::new(0.0, 5.0, 1e-4, 1e-6));
    let (mut f, y0) = (LOTKA_VOLTERRA, [1.0, 1.0]);
    let (expected, work) = solve_at(&mut f, &TSIT5, y0, &times, &options, &mut ()).unwrap();
    let control = ErrorControl::Full;
    let found = solve_with_tangents(&mut f, &TSIT5, y0, [], &times, &options, control).unwrap();
    assert_eq!(found.values, expected);
    assert_eq!(found.stats, work);
    assert!(found.tangents.is_empty());
}

#[test]
fn statistics_count_every_call_and_every_product() {
    for control in [ErrorControl::Full, ErrorControl::SolutionOnly] {
        let mut f = LOTKA_VOLTERRA;
        let options = SolveOptions::new(0.0, 10.0, 1e-3, 1e-3);
        let y0 = [1.0, 1.0];
        let directions = all_directions();
        let found = solve_with_tangents(&mut f, &TSIT5, y0, directions, &[10.0], &options, control);
        let stats = found.unwrap().stats;
        assert!(stats.rejected > 0, "{stats:?}");
        assert_eq!(stats.field_calls, 2 + 6 * (stats.accepted + stats.rejected));
        assert_eq!(stats.field_calls, f.evaluations);
        assert_eq!(stats.jvps, f.jvps);
        assert_eq!(stats.jvps, 6 * stats.field_calls);
        assert_eq!(stats.vjps, 0);
    }
}

/// `y' = [p y2, -p y1]`, which rests at zero.
const ROTATION: Field<2, 1> = Field {
    parameters: [40.0],
    f: |_, [x, y], [p]| [p * y, -p * x],
    tangent: |_, ([x, y], [p]), ([u, v], [d])| [p * v + d * y, -p * u - d * x],
    products: |_, [x, y], [p], c| ([-p * c[1], p * c[0]], [c[0] * y - c[1] * x]),
    evaluations: 0,
    jvps: 0,
};

#[test]
fn full_control_keeps_tangents_accurate_where_the_solution_needs_no_steps() {
    let options = SolveOptions::new(0.0, 1.0, 1e-8, 1e-8);
    let solve = |control| {
        let direction = [([1.0, 0.0], [0.0])];
        let y0 = [0.0, 0.0];
        let mut f = ROTATION;
        solve_with_tangents(&mut f, &TSIT5, y0, direction, &[1.0], &options, control).unwrap()
    };
    let exact = [40.0_f64.cos(), -40.0_f64.sin()];
    let full = solve(ErrorControl::Full);
    assert_close("full", &full.tangents[0][0], &exact, 1e-6);
    let alone = solve(ErrorControl::SolutionOnly);
    assert!(alone.stats.accepted < 20 && full.stats.accepted > 100);
    assert!(relative_error(&alone.tangents[0][0], &exact) > 1.0);
}

#[test]
fn a_direction_given_many_times_changes_no_step() {
    let options = SolveOptions::new(0.0, 5.0, 1e-5, 1e-5);
    let solve = |copies| {
        let directions = vec![([0.0, 0.0], [0.0, 1.0, 0.0, 0.0]); copies];
        let (mut f, y0) = (LOTKA_VOLTERRA, [1.0, 1.0]);
        let control = ErrorControl::Full;
        solve_with_tangents(&mut f, &TSIT5, y0, directions, &[5.0], &options, control).unwrap()
    };
    let (one, many) = (solve(1), solve(12));
    assert_eq!(one.values, many.values);
    assert_eq!(one.stats.accepted, many.stats.accepted);
    assert!(many
        .tangents
        .iter()
        .all(|tangent| *tangent == one.tangents[0]));
}

#[test]
fn a_tangent_starts_with_its_direction() {
    let direction = ([0.3, -0.7], [0.1, 0.2, 0.3, 0.4]);
    for (t0, t1) in [(0.0, 2.0), (2.0, 0.0), (1.0, 1.0)] {
        let options = SolveOptions::new(t0, t1, 1e-6, 1e-6);
        let (mut f, y0) = (LOTKA_VOLTERRA, [1.0, 1.0]);
        let control = ErrorControl::Full;
        let found = solve_with_tangents(
            &mut f,
            &TSIT5,
            y0,
            [direction],
            &[t0, t0],
            &options,
            control,
        )
        .unwrap();
        assert_eq!(found.values, [y0; 2]);
        assert_eq!(found.tangents, [vec![direction.0; 2]]);
    }
}

#[test]
fn directions_that_are_not_finite_are_named() {
    let options = SolveOptions::new(0.5, 2.0, 1e-6, 1e-6);
    for wrong in [f64::NAN, f64::INFINITY] {
        for control in [ErrorControl::Full, ErrorControl::SolutionOnly] {
            let solve = |direction| {
                let (mut f, y0) = (LOTKA_VOLTERRA, [1.0, 1.0]);
                solve_with_tangents(&mut f, &TSIT5, y0, [direction], &[2.0], &options, control)
                    .unwrap_err()
            };
            let found = solve(([0.0, wrong], [0.0; 4]));
            assert!(
                matches!(found, SolveError::NonFinite { quantity: Quantity::Tangent, t, .. } if t == 0.5),
                "{found:?}"
            );
            let found = solve(([0.0, 0.0], [0.0, 0.0, wrong, 0.0]));
            assert!(
                matches!(
                    found,
                    SolveError::NonFinite {
                        quantity: Quantity::VectorField,
                        ..
                    }
                ),
                "{found:?}"
            );
        }
    }
}

#[test]
fn a_tangent_that_overflows_ends_the_solve_though_the_solution_is_finite() {
    let runaway = Field::<1, 1> {
        parameters: [1.0],
        f: |_, [y], [p]| [-p * y],
        // Not the field's: it stands for a tangent that grows without bound.
        tangent: |_, _, ([v], _)| [3000.0 * v],
        products: |_, [y], [p], [c]| ([-p * c], [-y * c]),
        evaluations: 0,
        jvps: 0,
    };
    for control in [ErrorControl::Full, ErrorControl::SolutionOnly] {
        let options = SolveOptions::new(0.0, 100.0, 1e-3, 1e-3);
        let mut f = runaway;
        let direction = [([1.0], [0.0])];
        let found =
            solve_with_tangents(&mut f, &TSIT5, [1.0], direction, &[1.0], &options, control);
        let error = found.unwrap_err();
        assert!(
            matches!(
                error,
                SolveError::NonFinite {
                    quantity: Quantity::Step,
                    ..
                }
            ),
            "{control:?}: {error:?}"
        );
    }
}

#[test]
fn a_solve_with_tangents_wants_a_time() {
    let options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
    let (mut f, control) = (LINEAR, ErrorControl::Full);
    let directions = all_directions();
    let found = solve_with_tangents(&mut f, &TSIT5, [1.0; 2], directions, &[], &options, control);
    assert_eq!(found, Err(SolveError::NoTimes));
}
