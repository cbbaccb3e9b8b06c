//! Bad input to a model: typed errors that say what to do, never a panic, never a hang.

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

use neuralode::{ode::error::Quantity, prelude::*};
use support::ADJOINTS;

neural_ode! {
    #[derive(Clone, Debug)]
    struct Classifier {
        input: [2, 3],
        encoder: [Flatten, Dense(6 => 4, relu)],
        ode: Ode {
            field(t, y): [Dense(4 => 5, tanh), Dense(5 => 4)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(4 => 3),
    }
}

type Model = Classifier<f32, Cpu>;
type Input = Tensor<(usize, Const<2>, Const<3>), f32, Cpu>;

fn model() -> Model {
    Model::build(&Cpu::seed_from_u64(0))
}

fn input(change: impl Fn(&mut Vec<f32>)) -> Input {
    let mut values: Vec<f32> = (0..24).map(|i| (i as f32).sin()).collect();
    change(&mut values);
    let rows = values.len() / 6;
    Cpu::default().tensor_from_vec(values, (rows, Const, Const))
}

fn fails(model: &Model, input: Input) -> SolveError {
    let untaped = model.try_forward(input.clone()).unwrap_err();
    let taped = model
        .try_forward(input.leaky_traced())
        .map(|_| ())
        .unwrap_err();
    assert_eq!(untaped.to_string(), taped.to_string());
    untaped
}

#[test]
fn an_empty_batch_is_reported_with_its_shape() {
    let error = fails(&model(), input(Vec::clear));
    assert_eq!(
        error,
        SolveError::EmptyBatch {
            shape: vec![0, 2, 3]
        }
    );
    assert_eq!(
        error.to_string(),
        "a tensor of shape [0, 2, 3] holds no element: pass at least one sample"
    );
    let error = model()
        .ode
        .try_forward(Cpu::default().zeros::<Rank2<0, 4>>())
        .unwrap_err();
    assert_eq!(error, SolveError::EmptyBatch { shape: vec![0, 4] });
}

#[test]
fn a_nan_or_an_infinity_in_the_input_is_reported_with_its_sample_even_where_relu_would_hide_it() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = fails(&model(), input(|values| values[13] = bad));
        let SolveError::NonFiniteData {
            quantity: Quantity::Input,
            sample: Some(2),
        } = error
        else {
            panic!("{error:?}");
        };
        assert_eq!(
            error.to_string(),
            "the input of the model holds a NaN or an infinity in sample 2: check the data and the weights"
        );
    }
}

#[test]
fn numbers_whose_sum_overflows_are_still_finite_numbers() {
    let huge = input(|values| values.fill(3e38));
    let error = fails(&model(), huge);
    assert!(
        !matches!(
            error,
            SolveError::NonFiniteData {
                quantity: Quantity::Input,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_nan_in_any_weight_is_reported() {
    let poison = |values: &mut Vec<f32>| values[0] = f32::NAN;
    let mut broken = Vec::new();
    for place in 0..8 {
        let mut model = model();
        macro_rules! set {
            ($tensor:expr) => {{
                let mut values = $tensor.as_vec();
                poison(&mut values);
                $tensor.copy_from(&values);
            }};
        }
        match place {
            0 => set!(model.encoder.weight),
            1 => set!(model.encoder.bias),
            2 => set!(model.ode.field.0.weight),
            3 => set!(model.ode.field.0.bias),
            4 => set!(model.ode.field.1.weight),
            5 => set!(model.ode.field.1.bias),
            6 => set!(model.head.weight),
            _ => set!(model.head.bias),
        }
        broken.push((place, model));
    }
    for (place, model) in broken {
        let result = model.try_forward(input(|_| ()));
        let error = result.unwrap_err();
        assert!(
            matches!(
                error,
                SolveError::NonFinite { .. } | SolveError::NonFiniteData { .. }
            ),
            "{place}: {error:?}"
        );
        assert!(error.to_string().contains("check"), "{error}");
    }
}

#[test]
fn tolerances_out_of_their_domain_are_reported_by_the_model() {
    for rtol in [0.0, -1.0, f64::NAN, 1e-9] {
        let mut model = model();
        model.ode.options.rtol = rtol;
        let error = fails(&model, input(|_| ()));
        assert!(
            matches!(error, SolveError::InvalidTolerance { name: "rtol", .. }),
            "{error:?}"
        );
    }
    let mut model = model();
    model.ode.options.rtol = -1.0;
    assert_eq!(
        fails(&model, input(|_| ())).to_string(),
        "rtol = -1e0 is no tolerance: for this dtype it must be at least 4.76837158203125e-7 and below 1e0; \
         1e-3 is usual for training, 1e-6 for accurate solutions"
    );
}

#[test]
fn a_zero_length_span_is_the_identity() {
    let mut model = model();
    model.ode.options.t1 = model.ode.options.t0;
    let x = input(|_| ());
    let features = model
        .encoder
        .forward(x.clone().reshape_like(&(4_usize, Const::<6>)));
    assert_eq!(
        model.forward(x).as_vec(),
        model.head.forward(features).as_vec()
    );
}

#[test]
fn a_field_that_explodes_is_a_typed_error_in_bounded_time() {
    for adjoint in ADJOINTS {
        let mut model = model();
        model.ode.options.adjoint = adjoint;
        // Near t = 0 steps may be as small as the field asks for; the checkpoints have room for so many.
        model.ode.options.max_steps = 1000;
        // The first overflows f32 at once, the second jumps back and forth at 1e20 per unit of time.
        for scale in [3e38, -1e20] {
            model.ode.field.0.weight.copy_from(&[1e20; 20]);
            model.ode.field.1.weight.copy_from(&[scale; 20]);
            let error = fails(&model, input(|_| ()));
            assert!(
                matches!(
                    error,
                    SolveError::NonFinite { .. }
                        | SolveError::StepTooSmall { .. }
                        | SolveError::MaxSteps { .. }
                        | SolveError::Stiff { .. }
                ),
                "{error:?}"
            );
        }
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "one of each")]
fn every_error_says_what_to_do() {
    let errors = [
        SolveError::InvalidTolerance {
            name: "rtol",
            found: 0.0,
            minimum: 1e-7,
            maximum: 1.0,
        },
        SolveError::InvalidSpan {
            t0: 0.0,
            t1: f64::NAN,
        },
        SolveError::NoTimes,
        SolveError::TimeNotSaved {
            index: 1,
            found: 0.5,
        },
        SolveError::CheckpointBudget {
            bytes: 100,
            needed: 5000,
            steps: 3,
        },
        SolveError::Quadrature {
            t0: 1.0,
            t1: 0.0,
            error: 10.0,
            pieces: 1000,
        },
        SolveError::TimeOutsideSpan {
            index: 2,
            found: f64::NAN,
            t0: 0.0,
            t1: 1.0,
        },
        SolveError::UnorderedTimes {
            index: 1,
            found: 0.1,
            previous: 0.2,
            t0: 0.0,
            t1: 1.0,
        },
        SolveError::InvalidStepSize { found: -1.0 },
        SolveError::StepBelowResolution {
            name: "dt",
            found: 0.02,
            t: -1e15,
            minimum: 0.44,
        },
        SolveError::Stiff {
            t: 0.9,
            t1: 1e4,
            h: 1e-3,
            decay: 3.1,
            limit: 3.3,
            steps: 4096,
            sample: Some(2),
        },
        SolveError::NonFinite {
            quantity: Quantity::Interpolant,
            t: 0.9,
            h: 0.25,
            sample: None,
        },
        SolveError::InvalidStepLimits {
            dt_min: 0.2,
            dt_max: 0.1,
        },
        SolveError::InvalidStop {
            name: "jump_at",
            index: 1,
            found: 0.5,
        },
        SolveError::NotSolved {
            found: 3.0,
            t0: 0.0,
            t1: 2.0,
        },
        SolveError::NoDenseOutput,
        SolveError::GrazingEvent {
            event: 0,
            t: 1.0,
            slope: 1e-12,
        },
        SolveError::InvalidMaxSteps,
        SolveError::EmptyBatch { shape: vec![0] },
        SolveError::ShapeMismatch {
            expected: vec![3, 10],
            found: vec![2, 10],
        },
        SolveError::NonFinite {
            quantity: Quantity::Step,
            t: 0.1,
            h: 0.2,
            sample: Some(3),
        },
        SolveError::NonFiniteData {
            quantity: Quantity::Output,
            sample: Some(3),
        },
        SolveError::NonFiniteData {
            quantity: Quantity::Gradient,
            sample: None,
        },
        SolveError::StepTooSmall {
            t: 0.1,
            h: 1e-18,
            minimum: 1e-17,
            error: 2.0,
            sample: None,
        },
        SolveError::MaxSteps {
            t: 0.1,
            t1: 1.0,
            h: 1e-5,
            error: 0.5,
            steps: 4096,
            sample: Some(7),
        },
        SolveError::SharedStepsOnly {
            what: "the adjoint Gauss",
        },
        SolveError::device("out of memory"),
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.len() > 20 && !text.ends_with('.'), "{text}");
        let _: &dyn std::error::Error = &error;
    }
    let sample = SolveError::NonFinite {
        quantity: Quantity::Step,
        t: 0.1,
        h: 0.2,
        sample: Some(3),
    };
    assert!(
        sample.to_string().contains("in sample 3 at t = 0.1"),
        "{sample}"
    );
}

#[test]
fn times_of_any_size_are_a_few_digits_in_messages() {
    let message = |t: f64, t1: f64| {
        SolveError::MaxSteps {
            t,
            t1,
            h: 1e-300,
            error: 0.0,
            steps: 4096,
            sample: None,
        }
        .to_string()
    };
    assert!(
        message(4.096e-297, 1.0).contains("t = 4.096e-297 of 1 "),
        "{}",
        message(4.096e-297, 1.0)
    );
    assert!(message(-2.5e-7, 1e300).contains("t = -2.5e-7 of 1e300 "));
    assert!(message(0.0, 86_400.25).contains("t = 0 of 86400.25 "));
    let long = [1e-300, -1e300, f64::MIN_POSITIVE, f64::MAX];
    for found in long {
        for error in [
            SolveError::NotSolved {
                found,
                t0: found,
                t1: found,
            },
            SolveError::TimeNotSaved { index: 0, found },
            SolveError::InvalidSpan {
                t0: found,
                t1: found,
            },
            SolveError::TimeOutsideSpan {
                index: 0,
                found,
                t0: found,
                t1: found,
            },
            SolveError::UnorderedTimes {
                index: 0,
                found,
                previous: found,
                t0: found,
                t1: found,
            },
            SolveError::InvalidStop {
                name: "step_at",
                index: 0,
                found,
            },
            SolveError::GrazingEvent {
                event: 0,
                t: found,
                slope: found,
            },
            SolveError::Quadrature {
                t0: found,
                t1: found,
                error: found,
                pieces: 1,
            },
            SolveError::NonFinite {
                quantity: Quantity::VectorField,
                t: found,
                h: found,
                sample: None,
            },
            SolveError::StepTooSmall {
                t: found,
                h: found,
                minimum: found,
                error: 1.0,
                sample: None,
            },
        ] {
            let message = error.to_string();
            assert!(!message.contains("00000"), "{message}");
        }
    }
}
