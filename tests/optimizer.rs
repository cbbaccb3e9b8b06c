//! `FusedAdam` against dfdx's `Adam`, and what it does with gradients that are not finite.

#![allow(missing_docs, reason = "a test program")]

mod support;

use neuralode::{ode::error::Quantity, prelude::*};
use support::parameters_of;

neural_ode! {
    #[derive(Clone, Debug)]
    struct Model {
        input: [5],
        encoder: Dense(5 => 3, tanh),
        ode: Ode {
            field(t, y): [Dense(3 => 7, tanh), Dense(7 => 3)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: Dense(3 => 2),
    }
}

type Inputs<E> = Tensor<Rank2<6, 5>, E, Cpu>;

fn gradients<E: Dtype>(model: &Model<E, Cpu>, x: &Inputs<E>) -> Gradients<E, Cpu>
where
    Cpu: Device<E>,
{
    let loss = model.forward(x.leaky_trace()).square().mean();
    try_backward(loss).unwrap().0
}

macro_rules! takes_the_steps_of_dfdx {
    ($name:ident, $t:ident) => {
        #[test]
        fn $name() {
            let decays = [
                None,
                Some(WeightDecay::L2(0.1)),
                Some(WeightDecay::Decoupled(0.1)),
            ];
            for weight_decay in decays {
                let dev = Cpu::seed_from_u64(1);
                let config = AdamConfig {
                    lr: 0.02,
                    betas: [0.8, 0.9],
                    weight_decay,
                    ..AdamConfig::default()
                };
                let mut model = Model::<$t, _>::build(&dev);
                let mut reference = model.clone();
                let x: Inputs<$t> = dev.sample_normal();
                let mut optimizer = FusedAdam::new(&model, config);
                let mut expected = Adam::new(&reference, config);
                for step in 0..40 {
                    // Rates may change between steps.
                    optimizer.cfg.lr = 0.02 / f64::from(1 + step);
                    expected.cfg.lr = optimizer.cfg.lr;
                    let mut found = gradients(&model, &x);
                    optimizer.step(&mut model, &mut found).unwrap();
                    assert!(found
                        .get(&model.encoder.weight)
                        .as_vec()
                        .iter()
                        .all(|g| *g == 0.0));
                    let found = gradients(&reference, &x);
                    expected.update(&mut reference, &found).unwrap();
                    assert_eq!(
                        parameters_of(&model),
                        parameters_of(&reference),
                        "{weight_decay:?}, step {step}"
                    );
                }
            }
        }
    };
}

takes_the_steps_of_dfdx!(fused_adam_takes_the_steps_of_dfdx_to_the_bit_in_f32, f32);
takes_the_steps_of_dfdx!(fused_adam_takes_the_steps_of_dfdx_to_the_bit_in_f64, f64);

#[test]
fn a_gradient_that_is_not_finite_changes_nothing_and_is_named() {
    let dev = Cpu::seed_from_u64(1);
    let mut model = Model::<f32, _>::build(&dev);
    let x: Inputs<f32> = dev.sample_normal();
    let mut optimizer = FusedAdam::new(&model, AdamConfig::default());
    let mut found = gradients(&model, &x);
    optimizer.step(&mut model, &mut found).unwrap();
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (before, untouched) = (parameters_of(&model), optimizer.clone());
        // The last parameter's: all others have been seen before.
        let mut found = gradients(&model, &x);
        *found
            .get_or_alloc_mut(&model.head.bias)
            .unwrap()
            .last_mut()
            .unwrap() = wrong;
        let error = optimizer.step(&mut model, &mut found).unwrap_err();
        let is_named = matches!(
            error,
            SolveError::NonFiniteData {
                quantity: Quantity::Gradient,
                ..
            }
        );
        assert!(is_named, "{error}");
        assert!(
            error.to_string().contains("no parameter was changed"),
            "{error}"
        );
        assert_eq!(parameters_of(&model), before);
        // Nor has the optimizer counted it.
        let mut others = (model.clone(), untouched);
        for (model, optimizer) in [(&mut model, &mut optimizer), (&mut others.0, &mut others.1)] {
            let mut found = gradients(model, &x);
            optimizer.step(model, &mut found).unwrap();
        }
        assert_eq!(parameters_of(&model), parameters_of(&others.0));
    }
}

#[test]
fn a_parameter_without_a_gradient_rests() {
    let dev = Cpu::seed_from_u64(1);
    let mut model = Model::<f64, _>::build(&dev);
    let before = parameters_of(&model);
    let mut optimizer = FusedAdam::new(&model, AdamConfig::default());
    optimizer.step(&mut model, &mut Gradients::leaky()).unwrap();
    assert_eq!(parameters_of(&model), before);
}

#[test]
fn a_gradient_whose_square_overflows_is_refused_and_changes_nothing() {
    let dev = Cpu::seed_from_u64(0);
    let mut parameter: Tensor<Rank1<20>, f32, Cpu> = dev.zeros();
    let mut optimizer = FusedAdam::new(&parameter, AdamConfig::default());
    let ascend = |parameter: &Tensor<Rank1<20>, f32, Cpu>, factor: f32| {
        (parameter.leaky_trace() * factor).sum().backward()
    };
    for (large, refused) in [(1e24, true), (2e19, true), (-1e20, true), (1e18, false)] {
        let before = parameter.array();
        let mut gradients = ascend(&parameter, large);
        match optimizer.step(&mut parameter, &mut gradients) {
            Err(SolveError::GradientTooLarge { largest, limit }) => {
                assert!(refused, "{large:e}");
                assert!((largest / f64::from(large.abs()) - 1.0).abs() < 1e-6);
                assert!((limit / 1.844_674_3e19 - 1.0).abs() < 1e-6);
                let bits = |x: [f32; 20]| x.map(f32::to_bits);
                assert_eq!(bits(parameter.array()), bits(before));
            }
            other => assert!(other.is_ok() && !refused, "{large:e}: {other:?}"),
        }
    }
    // Training goes on afterwards.
    let before = parameter.array();
    let mut gradients = ascend(&parameter, 1.0);
    optimizer.step(&mut parameter, &mut gradients).unwrap();
    assert!(parameter
        .array()
        .iter()
        .zip(before)
        .all(|(x, before)| x.is_finite() && *x < before));
}

#[test]
fn a_weight_decay_whose_square_overflows_is_refused_and_changes_nothing() {
    let dev = Cpu::seed_from_u64(0);
    let mut parameter: Tensor<Rank1<3>, f32, Cpu> = dev.tensor([1.0, -3e22, 2.0]);
    let config = AdamConfig {
        weight_decay: Some(WeightDecay::L2(1e-2)),
        ..AdamConfig::default()
    };
    let mut optimizer = FusedAdam::new(&parameter, config);
    let mut gradients = parameter.leaky_trace().sum().backward();
    let error = optimizer.step(&mut parameter, &mut gradients).unwrap_err();
    assert!(
        matches!(error, SolveError::GradientTooLarge { largest, .. } if (largest / 3e20 - 1.0).abs() < 1e-6),
        "{error}"
    );
    let bits = |x: [f32; 3]| x.map(f32::to_bits);
    assert_eq!(bits(parameter.array()), bits([1.0, -3e22, 2.0]));
    // It keeps no squares of parameters that decay beside the gradient.
    optimizer.cfg.weight_decay = Some(WeightDecay::Decoupled(1e-2));
    optimizer.step(&mut parameter, &mut gradients).unwrap();
    assert!(parameter.array()[1] > -3e22);
}
