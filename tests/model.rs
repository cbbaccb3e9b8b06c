//! Models that `neural_ode!` generates: what they are, and what dfdx can do with them.

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

use neuralode::{prelude::*, Adjoint, Controller, Solver, StepSizes};
use support::relative_error;

/// Sizes may be constants, of any path.
mod sizes {
    pub(crate) const ROWS: usize = 4;
    pub(crate) const COLUMNS: usize = 6;
    pub(crate) const HIDDEN: usize = 5;
}
use sizes::HIDDEN;

const END: f64 = 1.25;
const RTOL: f64 = 1e-4;

neural_ode! {
    /// A small classifier with constants and inferred widths.
    #[derive(Clone, Debug)]
    pub struct Small {
        input: [sizes::ROWS, sizes::COLUMNS],
        /// From pixels to features.
        encoder: [Flatten, Dense(_ => HIDDEN, tanh)],
        ode: Ode {
            field(t, y): [Dense(HIDDEN => 7, tanh), sin, Dense(HIDDEN)],
            span: -0.5..END,
            solver: Tsit5 { rtol: RTOL, atol: 1e-4, controller: PI },
            adjoint: Interpolating,
            save_at: End,
        },
        decoder: [Dense(8, relu), Dense(8 => 3), sigmoid],
        head: tanh,
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct OnlyOde {
        input: [3],
        ode: Ode {
            field(t, y): tanh,
            span: 0..1,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
    }
}

fn images<B: Dim, D: Device<f64>>(dev: &D, batch: B) -> Tensor<(B, Const<4>, Const<6>), f64, D> {
    let values = (0..batch.size() * 24)
        .map(|i| (i as f64 * 0.37).sin())
        .collect();
    dev.tensor_from_vec(values, (batch, Const, Const))
}

#[test]
fn stages_are_fields_and_hold_their_parameters() {
    let dev = Cpu::seed_from_u64(1);
    let model = Small::<f64, _>::build(&dev);
    let _: &Tensor<Rank2<5, 24>, f64, Cpu> = &model.encoder.weight;
    let _: &Tensor<Rank1<7>, f64, Cpu> = &model.ode.field.0.bias;
    let _: &Tensor<Rank2<5, 7>, f64, Cpu> = &model.ode.field.2.weight;
    let _: &Tensor<Rank2<3, 8>, f64, Cpu> = &model.decoder.1.weight;
    let count = (24 + 1) * 5 + (5 + 1) * 7 + (7 + 1) * 5 + (5 + 1) * 8 + (8 + 1) * 3;
    assert_eq!(model.num_trainable_params(), count);
    assert_eq!(model.summary().parameters(), count);
}

#[test]
fn the_declared_options_are_those_of_the_block() {
    let model = Small::<f32, _>::build(&Cpu::default());
    let options = model.ode.options;
    assert_eq!((options.t0, options.t1), (-0.5, 1.25));
    assert_eq!((options.rtol, options.atol), (1e-4, 1e-4));
    assert_eq!(options.controller, Controller::PI);
    assert_eq!(options.adjoint, Adjoint::Interpolating);
    let plain = OnlyOde::<f32, _>::build(&Cpu::default()).ode.options;
    assert_eq!(
        (plain.controller, plain.adjoint),
        (Controller::I, Adjoint::Discrete)
    );
}

#[test]
fn constant_and_run_time_batches_taped_and_untaped_give_the_same_bits() {
    let dev = Cpu::seed_from_u64(1);
    let model = Small::<f64, _>::build(&dev);
    let run_time = model.forward(images(&dev, 9_usize));
    let constant: Tensor<Rank2<9, 3>, f64, _> = model.forward(images(&dev, Const::<9>));
    let taped = model.forward(images(&dev, 9_usize).leaky_traced());
    let taped_constant = model.forward(images(&dev, Const::<9>).leaky_traced());
    assert_eq!(run_time.as_vec(), constant.as_vec());
    assert_eq!(run_time.as_vec(), taped.as_vec());
    assert_eq!(run_time.as_vec(), taped_constant.as_vec());
}

#[test]
fn the_model_is_what_its_text_says() {
    // The same layers, one by one, by hand.
    let dev = Cpu::seed_from_u64(1);
    let model = Small::<f64, _>::build(&dev);
    let x = images(&dev, 9_usize);
    let flat = x.clone().reshape_like(&(9_usize, Const::<24>));
    let features = model.encoder.forward(flat);
    let solved = model.ode.forward(features);
    let decoded = model
        .decoder
        .1
        .forward(model.decoder.0.forward(solved))
        .sigmoid()
        .tanh();
    assert_eq!(model.forward(x).as_vec(), decoded.as_vec());
    // And one dense layer from its definition.
    let y: Tensor<(usize, Const<24>), f64, Cpu> = images(&dev, 1_usize).reshape_like(&(1, Const));
    let (w, b, y) = (
        model.encoder.weight.array(),
        model.encoder.bias.array(),
        y.as_vec(),
    );
    let expected: Vec<f64> = (0..5)
        .map(|o| ((0..24).map(|i| w[o][i] * y[i]).sum::<f64>() + b[o]).tanh())
        .collect();
    let found = model
        .encoder
        .forward(dev.tensor_from_vec(y, (1_usize, Const::<24>)));
    assert!(relative_error(&found.as_vec(), &expected) < 1e-14);
}

#[test]
fn a_field_without_parameters_is_solved_too() {
    // y' = tanh(y): sinh(y) = sinh(y0) e^t.
    let dev = Cpu::default();
    let model = OnlyOde::<f64, _>::build(&dev);
    assert_eq!(model.num_trainable_params(), 0);
    let y0: Tensor<Rank2<1, 3>, f64, _> = dev.tensor([[0.1, -0.5, 2.0]]);
    let y1 = model.forward(y0.clone()).array()[0];
    for (y1, y0) in y1.iter().zip(y0.array()[0]) {
        assert!((y1.sinh() - y0.sinh() * 1.0_f64.exp()).abs() < 1e-4, "{y1}");
    }
}

#[test]
fn weights_start_glorot_uniform_and_biases_at_zero_by_the_devices_seed() {
    let build = |seed| Small::<f64, _>::build(&Cpu::seed_from_u64(seed));
    let model = build(7);
    let bound = (6.0 / (24.0 + 5.0_f64)).sqrt();
    let weights = model.encoder.weight.as_vec();
    assert!(weights.iter().all(|w| w.abs() <= bound));
    assert!(weights.iter().any(|w| w.abs() > 0.9 * bound));
    let variance = weights.iter().map(|w| w * w).sum::<f64>() / 120.0;
    assert!(
        (variance / (bound * bound / 3.0) - 1.0).abs() < 0.35,
        "{variance}"
    );
    assert!(model.encoder.bias.as_vec().iter().all(|b| *b == 0.0));
    assert_eq!(
        build(7).decoder.0.weight.as_vec(),
        model.decoder.0.weight.as_vec()
    );
    assert_ne!(
        build(8).decoder.0.weight.as_vec(),
        model.decoder.0.weight.as_vec()
    );
    // The same seed gives the same model in both precisions, up to rounding.
    let single = Small::<f32, _>::build(&Cpu::seed_from_u64(7))
        .encoder
        .weight
        .as_vec();
    assert!(weights.iter().zip(single).all(|(a, b)| (*a as f32) == b));
}

#[test]
fn dfdx_builds_models_by_name() {
    let dev = Cpu::seed_from_u64(3);
    let a = dev.build_module::<Small, f64>();
    let b: Small<f64, Cpu> = Small::<f64, Cpu>::build_on_device(&Cpu::seed_from_u64(3));
    let c = Small::<f64, Cpu>::try_build(&Cpu::seed_from_u64(3)).unwrap();
    assert_eq!(a.encoder.weight.as_vec(), b.encoder.weight.as_vec());
    assert_eq!(a.encoder.weight.as_vec(), c.encoder.weight.as_vec());
}

/// Trains for a few steps and returns the losses.
fn train<O: Optimizer<Small<f64, Cpu>, Cpu, f64>>(
    optimizer: impl Fn(&Small<f64, Cpu>) -> O,
) -> Vec<f64> {
    let dev = Cpu::seed_from_u64(1);
    let mut model = Small::<f64, _>::build(&dev);
    let mut optimizer = optimizer(&model);
    let x = images(&dev, 16_usize);
    let target = dev.tensor_from_vec(
        (0..48).map(|i| f64::from(i % 2)).collect(),
        (16_usize, Const::<3>),
    );
    let mut gradients = model.alloc_grads();
    (0..20)
        .map(|_| {
            let y = model.forward_mut(x.trace(gradients.clone()));
            let loss = mse_loss(y, target.clone());
            let value = loss.array();
            gradients = try_backward(loss).unwrap().0;
            optimizer.update(&mut model, &gradients).unwrap();
            model.zero_grads(&mut gradients);
            value
        })
        .collect()
}

#[test]
fn dfdx_optimizers_lower_the_loss() {
    let adam = train(|model| {
        Adam::new(
            model,
            AdamConfig {
                lr: 1e-2,
                ..Default::default()
            },
        )
    });
    let sgd = train(|model| {
        Sgd::new(
            model,
            SgdConfig {
                lr: 0.2,
                ..Default::default()
            },
        )
    });
    let rms = train(|model| {
        RMSprop::new(
            model,
            RMSpropConfig {
                lr: 1e-2,
                ..Default::default()
            },
        )
    });
    for losses in [adam, sgd, rms] {
        assert!(losses[19] < losses[0], "{losses:?}");
    }
}

#[test]
fn conversions_keep_parameters_and_changed_options() {
    let mut model = Small::<f64, _>::build(&Cpu::seed_from_u64(1));
    model.ode.options.rtol = 1e-7;
    let other = model.to_device(&Cpu::seed_from_u64(99));
    assert_eq!(other.encoder.weight.as_vec(), model.encoder.weight.as_vec());
    assert_eq!(other.ode.options.rtol, 1e-7);
    assert_eq!(model.clone().ode.options.rtol, 1e-7);
    // dfdx's own conversions build the declared model; options are carried over on request.
    let mut single = model.to_dtype::<f32>();
    assert_eq!(single.ode.options.rtol, 1e-4);
    single.copy_options_from(&model);
    assert_eq!(single.ode.options.rtol, 1e-7);
    let gap = single.encoder.weight.as_vec()[0] - model.encoder.weight.as_vec()[0] as f32;
    assert_eq!(gap, 0.0);
}

#[test]
fn the_gradient_of_an_input_is_kept_where_that_is_asked_for() {
    let dev = Cpu::seed_from_u64(1);
    let model = Small::<f64, _>::build(&dev);
    let x = images(&dev, 3_usize);
    // With gradients that drop nothing, dfdx keeps it as well.
    let y = model.try_forward(x.leaky_trace()).unwrap();
    let (leaky, _) = try_backward(y.square().sum()).unwrap();
    let expected = leaky.get(&x).as_vec();
    assert!(expected.iter().any(|x| *x != 0.0));

    let mut gradients = model.alloc_grads();
    for pass in 1..=3 {
        let (traced, gradient) = keep_gradient(x.trace(gradients));
        let y = model.try_forward(traced).unwrap();
        assert!(gradient.get().is_none(), "before the pass");
        (gradients, _) = try_backward(y.square().sum()).unwrap();
        assert_eq!(gradient.get().unwrap().as_vec(), expected);
        assert_eq!(gradient.get().unwrap().shape(), x.shape());
        // Those of parameters add up; this one belongs to its pass.
        let bias = gradients.get(&model.decoder.1.bias).as_vec();
        let once = leaky.get(&model.decoder.1.bias).as_vec();
        for (sum, once) in bias.iter().zip(once) {
            assert!((sum - f64::from(pass) * once).abs() <= 1e-12 * sum.abs());
        }
    }
    // What no loss depends on has a gradient of zero.
    let (traced, gradient) = keep_gradient(x.leaky_trace());
    let (_, tape) = traced.split_tape();
    let loss = dev.ones::<Rank0>().put_tape(tape);
    try_backward(loss).unwrap();
    assert!(gradient.get().unwrap().as_vec().iter().all(|x| *x == 0.0));
}

#[test]
fn safetensors_round_trip_under_the_documented_paths() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let model = Small::<f64, _>::build(&Cpu::seed_from_u64(1));
    model.save_safetensors(&path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    // The prelude brings no module of this name.
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort();
    let expected = [
        "decoder.0.bias",
        "decoder.0.weight",
        "decoder.1.bias",
        "decoder.1.weight",
        "encoder.bias",
        "encoder.weight",
        "ode.field.0.bias",
        "ode.field.0.weight",
        "ode.field.2.bias",
        "ode.field.2.weight",
    ];
    assert_eq!(names, expected);
    let mut copy = Small::<f64, _>::build(&Cpu::seed_from_u64(2));
    copy.load_safetensors(&path).unwrap();
    let x = images(&Cpu::default(), 3_usize);
    assert_eq!(copy.forward(x.clone()).as_vec(), model.forward(x).as_vec());
}

#[test]
fn the_summary_names_every_layer_with_its_static_type() {
    let model = Small::<f32, _>::build(&Cpu::default());
    let text = model.summary().to_string();
    let expected = "\
Small
  layer        type                             shape           parameters
  encoder      Flatten                          [4, 6] -> [24]           0
  encoder      Dense<24, 5, Tanh, f32, Cpu>     [24] -> [5]            125
  ode.field.0  Dense<5, 7, Tanh, f32, Cpu>      [5] -> [7]              42
  ode.field.1  Pointwise<Sin>                   [7] -> [7]               0
  ode.field.2  Dense<7, 5, Identity, f32, Cpu>  [7] -> [5]              40
  decoder.0    Dense<5, 8, Relu, f32, Cpu>      [5] -> [8]              48
  decoder.1    Dense<8, 3, Identity, f32, Cpu>  [8] -> [3]              27
  decoder.2    Pointwise<Sigmoid>               [3] -> [3]               0
  head         Pointwise<Tanh>                  [3] -> [3]               0
  ode: Tsit5 over -0.5..1.25, rtol 1e-4, atol 1e-4, controller PI, adjoint Interpolating, backend Kernels
  ode.field: SmallOdeField
  282 trainable parameters";
    assert_eq!(text, expected);
}

#[test]
fn statistics_come_with_the_output() {
    let dev = Cpu::seed_from_u64(1);
    let model = Small::<f64, _>::build(&dev);
    let (_, stats) = model.try_forward_with_stats(images(&dev, 4_usize)).unwrap();
    assert!(stats.accepted > 0);
    assert_eq!(stats.field_calls, 2 + 6 * (stats.accepted + stats.rejected));
}

#[test]
fn models_are_send_and_of_known_size() {
    fn check<T: Send + Sync + Sized + 'static>() {}
    check::<Small<f32, Cpu>>();
    check::<Small<f64, Cpu>>();
    check::<OnlyOde<f32, Cpu>>();
}

#[test]
fn a_model_can_be_declared_in_a_function_body_with_local_constants() {
    const WIDTH: usize = 3;
    neural_ode! {
        struct Local {
            input: [WIDTH],
            ode: Ode {
                field(t, y): Dense(WIDTH => WIDTH, tanh),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
        }
    }
    let dev = Cpu::default();
    let y = Local::<f32, _>::build(&dev).forward(dev.zeros::<Rank2<2, 3>>());
    assert_eq!(y.array(), [[0.0; 3]; 2]);
}

#[test]
fn more_layers_than_dfdx_tuples_hold_are_no_problem() {
    neural_ode! {
        struct Deep {
            input: [2],
            a: Dense(2, tanh),
            b: [Dense(2), Dense(2), Dense(2), Dense(2), Dense(2), Dense(2), Dense(2), Dense(2), Dense(2)],
            c: Dense(2),
            d: Dense(2),
            e: Dense(2),
            f: Dense(2),
            g: Dense(2),
            h: Dense(1),
        }
    }
    let dev = Cpu::default();
    let model = Deep::<f32, _>::build(&dev);
    assert_eq!(model.num_trainable_params(), 6 * 15 + 3);
    let y: Tensor<Rank2<1, 1>, f32, _> = model.forward(dev.zeros::<Rank2<1, 2>>());
    assert_eq!(y.array(), [[0.0]]);
}

#[test]
fn activations_have_their_values_and_derivatives() {
    use neuralode::layer::activation::{Identity, Relu, Sigmoid, Sin, Tanh};
    use neuralode::layer::Activation;

    fn check<A: Activation>(value: fn(f64) -> f64, slope: fn(f64) -> f64) {
        let dev = Cpu::default();
        let xs = [-2.0, -0.3, 0.0, 0.4, 3.0];
        let x: Tensor<Rank1<5>, f64, Cpu> = dev.tensor(xs);
        let y = A::try_apply(x.leaky_trace()).unwrap();
        assert!(relative_error(&y.as_vec(), &xs.map(value)) < 1e-15);
        let gradients = y.sum::<Rank0, _>().backward();
        assert!(relative_error(&gradients.get(&x).as_vec(), &xs.map(slope)) < 1e-15);
        let nan: Tensor<Rank1<1>, f64, Cpu> = dev.tensor([f64::NAN]);
        assert!(
            A::try_apply(nan).unwrap().as_vec()[0].is_nan(),
            "NaN must show"
        );
    }
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    check::<Identity>(|x| x, |_| 1.0);
    check::<Tanh>(f64::tanh, |x| 1.0 - x.tanh().powi(2));
    check::<Relu>(|x| x.max(0.0), |x| if x > 0.0 { 1.0 } else { 0.0 });
    check::<Sigmoid>(sigmoid, |x| {
        let s = 1.0 / (1.0 + (-x).exp());
        s * (1.0 - s)
    });
    check::<Sin>(f64::sin, f64::cos);
}

#[test]
fn adjoints_are_declared_by_name_and_checkpoints_with_their_budget() {
    const BUDGET: usize = 1 << 20;
    neural_ode! {
        struct Budgets {
            input: [2],
            number: Ode {
                field(t, y): Dense(2 => 2),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
                adjoint: Checkpointed { bytes: 5_000 },
            },
            constant: Ode {
                field(t, y): Dense(2 => 2),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
                adjoint: Checkpointed { bytes: BUDGET },
            },
            gauss: Ode {
                field(t, y): Dense(2 => 2),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
                adjoint: Gauss,
            },
            quadrature: Ode {
                field(t, y): Dense(2 => 2),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
                adjoint: Quadrature,
            },
            backsolve: Ode {
                field(t, y): Dense(2 => 2),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
                adjoint: Backsolve,
            },
        }
    }
    let model = Budgets::<f32, Cpu>::build(&Cpu::default());
    let declared = [
        model.number.options.adjoint,
        model.constant.options.adjoint,
        model.gauss.options.adjoint,
        model.quadrature.options.adjoint,
        model.backsolve.options.adjoint,
    ];
    assert_eq!(
        declared,
        [
            Adjoint::Checkpointed { bytes: 5000 },
            Adjoint::Checkpointed { bytes: BUDGET },
            Adjoint::Gauss,
            Adjoint::Quadrature,
            Adjoint::Backsolve,
        ]
    );
}

#[test]
fn everything_that_a_block_declares_can_be_set_at_run_time() {
    neural_ode! {
        #[derive(Clone, Debug)]
        struct Declared {
            input: [2],
            plain: Ode {
                field(t, y): [Append(t), Dense(3 => 2, tanh)],
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
            },
            adaptive: Ode {
                field(t, y): Dense(2 => 2),
                span: 2.0..-1.0,
                solver: Vern7 { rtol: 1e-6, atol: 1e-8, controller: PID { p: 0.2, i: 0.4 }, steps: PerSample },
                adjoint: Gauss,
            },
            equal: Ode {
                field(t, y): Dense(2 => 2),
                span: 0.0..1.0,
                solver: Rk4 { dt: 0.125 },
                adjoint: Checkpointed { bytes: 4096 },
                save_at: End,
            },
        }
    }
    let dev = Cpu::seed_from_u64(1);
    let mut model = Declared::<f64, _>::build(&dev);
    let (p, i, d) = (0.2, 0.4, 0.0);
    let plain = model.plain.options.clone();
    let adaptive = plain
        .clone()
        .with_span(2.0, -1.0)
        .with_solver(Solver::Vern7)
        .with_tolerances(1e-6, 1e-8)
        .with_controller(Controller::Pid { p, i, d })
        .with_steps(StepSizes::PerSample)
        .with_adjoint(Adjoint::Gauss);
    assert_eq!(adaptive, model.adaptive.options);
    let equal = plain
        .with_solver(Solver::Rk4)
        .with_controller(Controller::Constant { dt: 0.125 })
        .with_adjoint(Adjoint::Checkpointed { bytes: 4096 });
    assert_eq!(equal, model.equal.options);

    // The next call uses them.
    let y0: Tensor<Rank2<3, 2>, f64, _> = dev.sample_normal();
    let declared = model.plain.forward(y0.clone());
    model.plain.options = equal;
    let (set, stats) = model.plain.try_forward_with_stats(y0.clone()).unwrap();
    assert_eq!((stats.accepted, stats.field_calls), (8, 33));
    assert_ne!(set.array(), declared.array());
    // What `save_at` declares is a matter of the call.
    let (saved, _) = model.plain.try_forward_at(y0, &[0.5, 1.0]).unwrap();
    assert_eq!(saved.as_vec()[6..], set.as_vec());
}

#[test]
fn a_model_may_begin_with_layers_without_parameters() {
    neural_ode! {
        #[derive(Clone, Debug)]
        struct Led {
            input: [4],
            first: [tanh, Augment(1)],
            head: Dense(5 => 2),
        }
    }
    let dev = Cpu::seed_from_u64(1);
    let model = Led::<f64, _>::build(&dev);
    let x: Tensor<Rank2<3, 4>, f64, _> = dev.sample_normal();
    let loss = |x: Tensor<Rank2<3, 4>, f64, Cpu>| {
        let y = model.forward(x);
        y.square().sum::<Rank0, _>().array()
    };
    let gradients = model
        .forward(x.leaky_trace())
        .square()
        .sum::<Rank0, _>()
        .backward();
    let found = gradients.get(&x).as_vec();
    for (index, found) in found.iter().enumerate() {
        let moved = |h: f64| {
            let mut values = x.as_vec();
            values[index] += h;
            loss(dev.tensor_from_vec(values, (Const, Const)))
        };
        let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
        assert!(
            (found - difference).abs() < 1e-8,
            "{index}: {found} {difference}"
        );
    }
    // The parameters have the same gradients where the input is data.
    let weight = gradients.get(&model.head.weight).as_vec();
    let (y, _) = model.try_forward_traced(x, model.alloc_grads()).unwrap();
    let gradients = y.square().sum::<Rank0, _>().backward();
    assert_eq!(gradients.get(&model.head.weight).as_vec(), weight);
}

#[test]
fn the_summary_says_what_decides_the_steps_and_numbers_as_numbers() {
    neural_ode! {
        #[derive(Clone, Debug)]
        struct Spoken {
            input: [6],
            norm: [LayerNorm, LayerNorm(epsilon: 2.5e-3), Residual[LayerNorm]],
            equal: Ode {
                field(t, y): Dense(6 => 6, tanh),
                span: 0.0..1.0,
                solver: Euler { dt: 0.25 },
            },
            own: Ode {
                field(t, y): Dense(6 => 6, tanh),
                span: 0.0..1.0,
                solver: Tsit5 { rtol: 1e-3, atol: 1e-4, steps: PerSample },
            },
        }
    }
    let mut model = Spoken::<f32, _>::build(&Cpu::default());
    let text = model.summary().to_string();
    let kinds: Vec<String> = model
        .summary()
        .layers
        .into_iter()
        .map(|layer| layer.kind)
        .collect();
    assert_eq!(
        kinds[..3],
        [
            "LayerNorm<6, f32, Cpu, 1e-5>",
            "LayerNorm<6, f32, Cpu, 2.5e-3>",
            "LayerNorm<6, f32, Cpu, 1e-5>",
        ]
    );
    for line in [
        "  equal: Euler over 0.0..1.0, dt 0.25, adjoint Discrete, backend Kernels",
        "  own: Tsit5 over 0.0..1.0, rtol 1e-3, atol 1e-4, controller I, steps PerSample, adjoint Discrete, backend Kernels",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    // The integral of this adjoint keeps tolerances where the steps have none.
    model.equal.options.adjoint = Adjoint::Quadrature;
    let text = model.summary().to_string();
    assert!(
        text.contains("dt 0.25, rtol 1e-3, atol 1e-3 of the adjoint, adjoint Quadrature"),
        "{text}"
    );
}
