//! Gradients that are right, or say that they are not: where the solution does not show what its derivative needs.

#![allow(missing_docs, reason = "a test program")]

mod support;

use std::sync::OnceLock;

use neuralode::{prelude::*, Backend, Control, Solver, StepSizes};

use rayon::prelude::*;

use support::ADJOINTS;

fn options(t1: f64, tolerance: f64) -> SolveOptions {
    SolveOptions::new(0.0, t1, tolerance, tolerance)
}

/// From numbers of f32 that are almost zero to its largest ones.
#[test]
fn a_block_in_f32_takes_any_factor_of_the_loss_to_its_gradients() {
    let field = stiff_network::<f32>(1.0).0.ode.field;
    for adjoint in ADJOINTS {
        for steps in [StepSizes::Shared, StepSizes::PerSample] {
            let options = options(1.0, 1e-4).with_adjoint(adjoint).with_steps(steps);
            let block = NeuralOde::new(field.clone(), options);
            let y0 =
                support::batch::<3, f32, _>(&Cpu::default(), &[0.5, -0.3, 0.2, 0.1, 0.9, -0.4]);
            let gradient = |c: f64| {
                let cotangent = [c, 0.5 * c, -c, 0.25 * c, c, c];
                let cotangent = support::batch::<3, f32, _>(&Cpu::default(), &cotangent);
                let found = support::differentiate::<3, f32, Cpu, _>(&block, &y0, &cotangent);
                found.unwrap().y0_bar
            };
            let one = gradient(1.0);
            for exponent in [-135, -120, -100, 100, 120] {
                let c = 2.0_f64.powi(exponent);
                let found: Vec<f64> = gradient(c).iter().map(|x| x / c).collect();
                let off = support::relative_error(&found, &one);
                // The smallest numbers of f32 have fewer digits.
                let bound = if exponent < -126 { 1e-2 } else { 1e-5 };
                assert!(off < bound, "{adjoint:?}, {steps:?}, 2^{exponent}: {off:e}");
            }
        }
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Failing {
        input: [2],
        ode: Ode {
            field(t, y): [Dense(2 => 4, tanh), Dense(4 => 2)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-9, atol: 1e-9 },
            adjoint: Interpolating,
        },
    }
}

/// A thread that waits in a pass may run another pass: here one that an operation of the first runs itself.
#[test]
fn a_pass_inside_another_one_takes_nothing_from_its_report() {
    let dev = Cpu::seed_from_u64(0);
    let mut model = Failing::<f64, _>::build(&dev);
    // No gradient is as good as that.
    model.ode.options.gradient_error_max = 1e-15;
    let easy = {
        let mut easy = model.clone();
        easy.ode.options = SolveOptions::new(0.0, 1.0, 1e-3, 1e-3);
        easy
    };
    let x: Tensor<Rank2<3, 2>, f64, Cpu> = dev.sample_normal();
    let pass = |inner: bool| {
        let (y0, mut tape) = x.leaky_trace().split_tape();
        let (easy, x) = (easy.clone(), x.clone());
        tape.add_backward_op(move |_| {
            if inner {
                let loss = easy.forward(x.leaky_trace()).square().mean();
                let (_, stats) = try_backward(loss).expect("the inner pass succeeds");
                assert!(stats.vjps > 0);
            }
            Ok(())
        });
        let loss = model.forward(y0.put_tape(tape)).square().mean();
        try_backward(loss)
    };
    let alone = pass(false).map(|(_, stats)| stats);
    let around = pass(true).map(|(_, stats)| stats);
    assert_eq!(alone, around);
    assert!(
        matches!(alone, Err(SolveError::GradientError { .. })),
        "{alone:?}"
    );
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Guided {
        input: [3],
        ode: Ode {
            field(t, y): [Dense(3 => 8, tanh), Dense(8 => 3)],
            span: 0.0..10.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3, control: Gradients },
        },
    }
}

/// A batch of 20 and a model whose weights are multiplied.
fn stiff_network<E: Dtype>(factor: f64) -> (Guided<E, Cpu>, Tensor<(usize, Const<3>), E, Cpu>)
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let mut model = Guided::<E, _>::build(&dev);
    let mut state = 0.77_f64;
    let mut next = || {
        // A fixed sequence in -1..1, the same in both types.
        state = (state * 997.0 + 0.123).fract();
        2.0 * state - 1.0
    };
    let mut parameters = support::parameters_of(&model);
    for x in parameters.iter_mut().flatten() {
        *x = factor * 0.6 * next();
    }
    support::set_parameters(&mut model, &parameters);
    let rows: Vec<f64> = (0..60).map(|_| 1.5 * next()).collect();
    (model, support::batch(&dev, &rows))
}

fn gradient_of_block<E: Dtype>(
    model: &Guided<E, Cpu>,
    y0: &Tensor<(usize, Const<3>), E, Cpu>,
) -> Result<(Vec<f64>, Stats), SolveError>
where
    Cpu: Device<E>,
    Guided<E, Cpu>: Sized,
{
    let cotangent = y0.clone() * E::from_f64(0.05).unwrap();
    let found = support::differentiate::<3, E, Cpu, _>(&model.ode, y0, &cotangent)?;
    let mut numbers = found.y0_bar;
    numbers.extend(found.theta_bar.concat());
    Ok((numbers, found.backward))
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    let squares = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / b.iter().map(|x| x * x).sum::<f64>()).sqrt()
}

const FACTORS: [f64; 4] = [1.0, 3.0, 5.0, 12.0];

/// The exact gradient for each factor, and how far it moves with the solution along which it is taken.
fn exact_gradients() -> &'static [(Vec<f64>, f64)] {
    static EXACT: OnceLock<Vec<(Vec<f64>, f64)>> = OnceLock::new();
    EXACT.get_or_init(|| {
        let exact = |factor: &f64| {
            let (mut model, y0) = stiff_network::<f64>(*factor);
            model.ode.options = SolveOptions::new(0.0, 10.0, 1e-11, 1e-11)
                .with_solver(Solver::Dopri8)
                .with_control(Control::GRADIENTS)
                .with_max_steps(100_000);
            let at = |y0: &_| gradient_of_block::<f64>(&model, y0).unwrap().0;
            let (beside, exact) = (at(&(y0.clone() + 1e-7)), at(&y0));
            let condition = f64::max(distance(&beside, &exact) / 1e-7, 1.0);
            (exact, condition)
        };
        FACTORS.par_iter().map(exact).collect()
    })
}

fn networks<E: Dtype>(tolerance: f64)
where
    Cpu: Device<E>,
{
    let mut refused = 0;
    for (factor, (exact, condition)) in FACTORS.into_iter().zip(exact_gradients()) {
        let (mut model, y0) = stiff_network::<E>(factor);
        assert_eq!(model.ode.options.control, Control::GRADIENTS);
        for backend in [Backend::Kernels, Backend::Operations] {
            for steps in [StepSizes::Shared, StepSizes::PerSample] {
                model.ode.options = SolveOptions::new(0.0, 10.0, tolerance, tolerance)
                    .with_backend(backend)
                    .with_steps(steps)
                    .with_max_steps(100_000);
                let case = format!("weights times {factor}, {backend:?}, {steps:?}");
                match gradient_of_block(&model, &y0) {
                    Ok((found, stats)) => {
                        let (wrong, estimate) = (distance(&found, exact), stats.gradient_error);
                        println!("{case}: off by {wrong:.1e}, estimate {estimate:.1e}");
                        // Above that a gradient is refused; below, the solution itself may be another one.
                        assert!(estimate <= 0.3, "{case}: {estimate:e}");
                        assert!(factor > 1.0 || wrong < 0.02, "{case}: {wrong:e}");
                    }
                    Err(SolveError::GradientError { error, .. }) => {
                        println!("{case}: refused, {error:.1e}");
                        refused += 1;
                    }
                    Err(error) => panic!("{case}: {error}"),
                }
                model.ode.options = model.ode.options.clone().with_control(Control::GRADIENTS);
                let (found, stats) = gradient_of_block(&model, &y0)
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
                let wrong = distance(&found, exact);
                println!(
                    "{case}, guided: off by {wrong:.1e}, estimate {:.1e}, condition {condition:.1}",
                    stats.gradient_error
                );
                assert!(
                    wrong < 100.0 * tolerance * condition,
                    "{case}: {wrong:e}, condition {condition:e}"
                );
            }
        }
    }
    assert!(
        refused > 0,
        "weights times 12 have no gradient on the steps of the solution"
    );
}

#[test]
fn gradients_of_networks_are_right_or_refused_and_right_with_steps_that_suit_them() {
    networks::<f64>(1e-3);
}

#[test]
fn so_they_are_in_f32() {
    networks::<f32>(1e-3);
}
