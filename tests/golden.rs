//! Solutions, gradients, equal steps and the interpolant against references that diffrax computed in f64
//! (`tests/golden/generate.py`). `$NEURALODE_GOLDEN_DIR` names another folder of such files.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::excessive_precision,
    clippy::float_cmp,
    reason = "numbers are small and printed as published; equal bits are meant"
)]

mod support;

use std::path::PathBuf;

use neuralode::{
    ode::{method::TSIT5, options::Tolerances, stepper::ExplicitRk},
    prelude::*,
    tensor::{TensorEngine, TensorState},
    Adjoint, Backend, Controller,
};
use serde_json::Value;
use support::{batch, differentiate, fields, relative_error, set_parameters};

neural_ode! {
    struct Mlp20 {
        input: [20],
        ode: Ode {
            field(t, y): [Dense(20 => 10, tanh), Dense(10 => 10, tanh), Dense(10 => 20, tanh)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

neural_ode! {
    struct Mlp5 {
        input: [5],
        ode: Ode {
            field(t, y): [Dense(5 => 8, tanh), Dense(8 => 8, tanh), Dense(8 => 5, tanh)],
            span: 1.0..-0.5,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

neural_ode! {
    struct Mlp7 {
        input: [7],
        ode: Ode {
            field(t, y): [Dense(_ => 33, tanh), Dense(3, tanh), Dense(_ => 7, tanh)],
            span: 0..2,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
    }
}

/// One file. Numbers that JSON does not have (NaN, infinities) read as NaN.
struct Case {
    name: String,
    document: Value,
}

impl Case {
    fn number(&self, key: &str) -> f64 {
        self.document[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{}: {key} is no number", self.name))
    }

    fn numbers(value: &Value) -> Vec<f64> {
        let array = value.as_array().expect("an array of numbers");
        array
            .iter()
            .map(|x| x.as_f64().unwrap_or(f64::NAN))
            .collect()
    }

    fn array(&self, key: &str) -> Vec<f64> {
        Self::numbers(&self.document[key])
    }

    /// The values of `[[name, shape, values], ...]`.
    fn tensors(&self, key: &str) -> Vec<Vec<f64>> {
        let array = self.document[key].as_array().expect("a list of tensors");
        array.iter().map(|x| Self::numbers(&x[2])).collect()
    }
}

fn cases() -> Vec<Case> {
    let folder = std::env::var_os("NEURALODE_GOLDEN_DIR").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden"),
        PathBuf::from,
    );
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        // The training run has a test program of its own.
        .filter(|path| path.file_name().is_some_and(|n| n != "mnist_training.json"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no reference in {}", folder.display());
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            // Python writes numbers that are not finite as words that JSON does not have.
            let text = text
                .replace("-Infinity", "null")
                .replace("Infinity", "null")
                .replace("NaN", "null");
            let document: Value =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let name = document["name"].as_str().unwrap_or("?").to_owned();
            Case { name, document }
        })
        .collect()
}

/// Something to do with a case once its field has a type.
trait Check {
    fn check<const N: usize, F: TensorField<N, f64, Cpu>>(&self, case: &Case, field: F);
}

/// Finds the field of each case, gives it the case's parameters, and runs `check`.
fn for_each_case(check: &impl Check) {
    fn run<const N: usize, F: TensorField<N, f64, Cpu> + BuildModule<Cpu, f64>>(
        case: &Case,
        check: &impl Check,
    ) {
        let mut field: F = BuildModule::build(&Cpu::default());
        set_parameters(&mut field, &case.tensors("params"));
        check.check(case, field);
    }
    for case in cases() {
        let n = case.number("n");
        match (
            case.document["field"].as_str().unwrap_or("none"),
            n as usize,
        ) {
            ("mlp3", 20) => run::<20, Mlp20OdeField<f64, Cpu>>(&case, check),
            ("mlp3", 5) => run::<5, Mlp5OdeField<f64, Cpu>>(&case, check),
            ("mlp3", 7) => run::<7, Mlp7OdeField<f64, Cpu>>(&case, check),
            ("cubic", 2) => run::<2, fields::Cubic<f64, Cpu>>(&case, check),
            ("time_mlp", 3) => run::<3, fields::TimeMlp<f64, Cpu>>(&case, check),
            ("residual", 6) => run::<6, fields::ResidualSin<f64, Cpu>>(&case, check),
            ("lotka_volterra", 2) => run::<2, fields::LotkaVolterra<f64, Cpu>>(&case, check),
            (field, n) => panic!("{}: no field `{field}` with a state of {n} here", case.name),
        }
    }
}

struct Gradients {
    adjoint: Adjoint,
    backend: Backend,
    tolerance: f64,
}

impl Check for Gradients {
    fn check<const N: usize, F: TensorField<N, f64, Cpu>>(&self, case: &Case, field: F) {
        let dev = Cpu::default();
        let options = SolveOptions::new(
            case.number("t0"),
            case.number("t1"),
            self.tolerance,
            self.tolerance,
        )
        .with_adjoint(self.adjoint)
        .with_backend(self.backend)
        .with_max_steps(100_000);
        let block = NeuralOde::new(field, options);
        let y0 = batch::<N, f64, _>(&dev, &case.array("y0"));
        let cotangent = batch::<N, f64, _>(&dev, &case.array("cotangent"));
        let found = differentiate(&block, &y0, &cotangent).unwrap();

        let y1 = relative_error(&found.y1, &case.array("y1"));
        let loss = (found.loss - case.number("L")).abs();
        let y0_bar = relative_error(&found.y0_bar, &case.array("dL_dy0"));
        let mut theta_bar: f64 = 0.0;
        for (found, expected) in found.theta_bar.iter().zip(case.tensors("dL_dparams")) {
            theta_bar = theta_bar.max(relative_error(found, &expected));
        }
        println!(
            "{:18} {:?}, {:?}: y1 {y1:.1e}, L {loss:.1e}, dL/dy0 {y0_bar:.1e}, dL/dtheta {theta_bar:.1e}, {} + {} steps",
            case.name, self.adjoint, self.backend, found.forward.accepted, found.backward.accepted
        );
        let worst_y1 = found
            .y1
            .iter()
            .zip(case.array("y1"))
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(worst_y1 <= 1e-9 && y1 <= 1e-9, "{}: y1", case.name);
        assert!(
            loss <= 1e-9 * case.number("L").abs().max(1.0),
            "{}: L",
            case.name
        );
        assert!(y0_bar <= 1e-7, "{}: dL/dy0", case.name);
        assert_eq!(found.theta_bar.len(), case.tensors("dL_dparams").len());
        assert!(theta_bar <= 1e-7, "{}: dL/dtheta", case.name);
    }
}

#[test]
fn the_discrete_adjoint_meets_every_reference() {
    for backend in [Backend::Kernels, Backend::Operations] {
        for_each_case(&Gradients {
            adjoint: Adjoint::Discrete,
            backend,
            tolerance: 1e-11,
        });
    }
}

fn meets_every_reference(adjoint: Adjoint) {
    for backend in [Backend::Kernels, Backend::Operations] {
        for_each_case(&Gradients {
            adjoint,
            backend,
            tolerance: 1e-12,
        });
    }
}

#[test]
fn the_interpolating_adjoint_meets_every_reference() {
    meets_every_reference(Adjoint::Interpolating);
}

#[test]
fn the_gauss_adjoint_meets_every_reference() {
    meets_every_reference(Adjoint::Gauss);
}

#[test]
fn the_quadrature_adjoint_meets_every_reference() {
    meets_every_reference(Adjoint::Quadrature);
}

#[test]
fn the_backsolve_adjoint_meets_every_reference() {
    meets_every_reference(Adjoint::Backsolve);
}

#[test]
fn the_checkpointed_adjoint_meets_every_reference() {
    meets_every_reference(Adjoint::Checkpointed { bytes: 400_000 });
}

struct EqualSteps;

/// Agreement to 1e-12 relative to the largest number. Where the reference has overflowed, this solution must
/// have left every sensible range too; at which operation exactly depends on the order of products.
fn assert_close(what: &str, found: &[f64], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        if expected.is_finite() {
            let error = (found - expected).abs();
            assert!(
                error <= 1e-12 * scale,
                "{what}: {found} != {expected}, scale {scale:e}"
            );
        } else {
            assert!(
                !found.is_finite() || found.abs() > 1e100,
                "{what}: {found} where the reference overflows"
            );
        }
    }
}

impl Check for EqualSteps {
    fn check<const N: usize, F: TensorField<N, f64, Cpu>>(&self, case: &Case, field: F) {
        let dev = Cpu::default();
        let tolerances = Tolerances {
            rtol: 1e-3,
            atol: 1e-3,
        };
        let section = |key: &str, part: &str| Case::numbers(&case.document[key][part]);
        let ts = section("tsit5_ten_equal_steps", "ts");
        let ys = section("tsit5_ten_equal_steps", "ys");
        let inside_ts = section("tsit5_interpolated", "ts");
        let inside_ys = section("tsit5_interpolated", "ys");

        let y0: Tensor<(usize, Const<N>), f64, Cpu> = batch(&dev, &case.array("y0"));
        let per_state = y0.as_vec().len();
        let mut engine = TensorEngine::new(field.clone());
        let mut stepper =
            ExplicitRk::new(&mut engine, &TSIT5, ts[0], TensorState(y0.clone())).unwrap();
        let mut points = 0;
        for step in 0..ts.len() {
            let expected = &ys[step * per_state..][..per_state];
            let (t, what) = (ts[step], format!("{}: step {step}", case.name));
            let y = stepper.y().as_vec();
            let Some(&next) = ts.get(step + 1) else {
                assert_close(&what, &y, expected, magnitude(expected));
                break;
            };
            let h = next - t;
            assert_close(&what, &y, expected, magnitude(expected));
            stepper.attempt(h, &tolerances).unwrap();
            for (index, &at) in inside_ts.iter().enumerate() {
                let theta = (at - t) / h;
                if theta > 0.0 && theta <= 1.0 {
                    let mut y = TensorState(y0.clone());
                    stepper.interpolate(theta, &mut y).unwrap();
                    let expected = &inside_ys[index * per_state..][..per_state];
                    let what = format!("{}: interpolant at {at}", case.name);
                    assert_close(&what, &y.as_vec(), expected, magnitude(expected));
                    points += 1;
                }
            }
            stepper.accept(next);
        }
        assert_eq!(
            points,
            inside_ts.len(),
            "{}: every point was met",
            case.name
        );
    }
}

fn magnitude(values: &[f64]) -> f64 {
    values
        .iter()
        .filter(|x| x.is_finite())
        .fold(1.0, |m, x| m.max(x.abs()))
}

#[test]
fn ten_equal_steps_and_the_interpolant_inside_them_meet_every_reference() {
    for_each_case(&EqualSteps);
}

struct SavedPoints;

impl Check for SavedPoints {
    fn check<const N: usize, F: TensorField<N, f64, Cpu>>(&self, case: &Case, field: F) {
        let section = |key: &str, part: &str| Case::numbers(&case.document[key][part]);
        let (t0, t1) = (case.number("t0"), case.number("t1"));
        let y0: Tensor<(usize, Const<N>), f64, Cpu> = batch(&Cpu::default(), &case.array("y0"));
        for key in ["tsit5_ten_equal_steps", "tsit5_interpolated"] {
            let (ts, ys) = (section(key, "ts"), section(key, "ys"));
            if ys.iter().any(|y| !y.is_finite()) {
                println!("{}: ten steps are too few for the reference", case.name);
                continue;
            }
            for backend in [Backend::Kernels, Backend::Operations] {
                let dt = (t1 - t0).abs() / 10.0;
                let options = SolveOptions::new(t0, t1, 1e-3, 1e-3)
                    .with_controller(Controller::Constant { dt })
                    .with_backend(backend);
                let block = NeuralOde::new(field.clone(), options);
                let (found, stats) = block.try_forward_at(y0.clone(), &ts).unwrap();
                assert_eq!(stats.accepted, 10);
                assert_close(&case.name, &found.as_vec(), &ys, magnitude(&ys));
            }
        }
    }
}

#[test]
fn saved_points_of_ten_equal_steps_meet_every_reference() {
    for_each_case(&SavedPoints);
}
