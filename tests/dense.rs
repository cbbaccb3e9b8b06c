//! The dense layer as one operation on the processor, against dfdx's operations; inputs that are data.

#![allow(missing_docs, reason = "a test program")]

mod support;

use neuralode::{
    layer::{
        activation::{Identity, Relu, Sigmoid, Sin, Tanh},
        Activation, Dense,
    },
    prelude::*,
};
use support::{batch, gradients_of, relative_error, set_parameters, to_f64};

type Taped<const N: usize, E> = Tensor<(usize, Const<N>), E, Cpu, OwnedTape<E, Cpu>>;

/// Numbers between -1 and 1 without a pattern.
fn numbers(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let draw = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap()) / f64::from(u32::MAX) * 2.0 - 1.0
    };
    (0..count).map(draw).collect()
}

fn layer<const I: usize, const O: usize, A: Activation, E: Dtype>(
    dev: &Cpu,
    seed: u64,
) -> Dense<I, O, A, E, Cpu>
where
    Cpu: Device<E>,
{
    let mut layer = Dense::new(dev.zeros(), dev.zeros());
    set_parameters(&mut layer, &[numbers(I * O, seed), numbers(O, seed + 1)]);
    layer
}

/// The layer as it would be written in dfdx's operations.
fn operations<const I: usize, const O: usize, A: Activation, E: Dtype>(
    layer: &Dense<I, O, A, E, Cpu>,
    x: Taped<I, E>,
) -> Taped<O, E>
where
    Cpu: Device<E>,
{
    let weight: Tensor<Rank2<I, O>, E, Cpu, OwnedTape<E, Cpu>> = layer.weight.retaped().permute();
    let z = x.matmul(weight);
    let shape = *z.shape();
    let bias = layer.bias.retaped::<OwnedTape<E, Cpu>>();
    A::try_apply(z + bias.broadcast_like(&shape)).unwrap()
}

/// Value and gradients (of weight, bias and input) for the loss `sum(c * y)`.
fn pass<const I: usize, const O: usize, A: Activation, E: Dtype>(
    layer: &Dense<I, O, A, E, Cpu>,
    x: &Tensor<(usize, Const<I>), E, Cpu>,
    forward: impl FnOnce(&Dense<I, O, A, E, Cpu>, Taped<I, E>) -> Taped<O, E>,
) -> [Vec<f64>; 4]
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let y = forward(layer, x.leaky_trace());
    let values = to_f64(&y.as_vec());
    let c = batch::<O, E, _>(&dev, &numbers(values.len(), 9));
    let gradients = (y * c).sum::<Rank0, _>().backward();
    let [weight_bar, bias_bar] = gradients_of(layer, &gradients).try_into().unwrap();
    let x_bar = to_f64(&gradients.get(x).as_vec());
    [values, weight_bar, bias_bar, x_bar]
}

fn agrees<const I: usize, const O: usize, A: Activation, E: Dtype>(rows: usize, bound: f64)
where
    Cpu: Device<E>,
{
    let dev = Cpu::default();
    let layer = layer::<I, O, A, E>(&dev, 1);
    let x = batch::<I, E, _>(&dev, &numbers(rows * I, 5));
    let found = pass(&layer, &x, Module::forward);
    let expected = pass(&layer, &x, operations);
    for (name, (found, expected)) in ["y", "weight", "bias", "x"]
        .iter()
        .zip(found.iter().zip(&expected))
    {
        let error = relative_error(found, expected);
        assert!(
            error <= bound,
            "{name}: {error:e} for {rows} rows, {I} => {O}, {}",
            core::any::type_name::<A>()
        );
    }
}

fn agrees_in_all_sizes<A: Activation, E: Dtype>(bound: f64)
where
    Cpu: Device<E>,
{
    for rows in [1, 3, 4, 5, 37] {
        agrees::<1, 1, A, E>(rows, bound);
        agrees::<1, 9, A, E>(rows, bound);
        agrees::<23, 1, A, E>(rows, bound);
        agrees::<3, 17, A, E>(rows, bound);
        agrees::<16, 16, A, E>(rows, bound);
        agrees::<20, 10, A, E>(rows, bound);
        agrees::<65, 6, A, E>(rows, bound);
        agrees::<149, 13, A, E>(rows, bound);
    }
}

#[test]
fn one_operation_agrees_with_those_of_dfdx_in_f32() {
    agrees_in_all_sizes::<Identity, f32>(1e-5);
    agrees_in_all_sizes::<Tanh, f32>(1e-5);
    agrees_in_all_sizes::<Relu, f32>(1e-5);
    agrees_in_all_sizes::<Sigmoid, f32>(1e-5);
    agrees_in_all_sizes::<Sin, f32>(1e-5);
}

#[test]
fn one_operation_agrees_with_those_of_dfdx_in_f64() {
    agrees_in_all_sizes::<Identity, f64>(1e-12);
    agrees_in_all_sizes::<Tanh, f64>(1e-12);
    agrees_in_all_sizes::<Relu, f64>(1e-12);
    agrees_in_all_sizes::<Sigmoid, f64>(1e-12);
    agrees_in_all_sizes::<Sin, f64>(1e-12);
}

#[test]
fn an_activation_without_a_kernel_runs_through_dfdx() {
    /// `x^2`
    #[derive(Clone, Copy, Debug, Default)]
    struct Square;

    impl Activation for Square {
        fn try_apply<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
            x: Tensor<S, E, D, T>,
        ) -> Result<Tensor<S, E, D, T>, D::Err> {
            x.try_square()
        }
    }

    agrees::<7, 3, Square, f64>(5, 1e-12);
}

#[test]
fn a_skip_connection_adds_its_gradient_to_that_of_the_layer() {
    fn skip(layer: &Dense<6, 6, Tanh, f64, Cpu>, x: Taped<6, f64>) -> Taped<6, f64> {
        let (skipped, tape) = x.split_tape();
        layer.forward(skipped.clone().put_tape(tape)) + skipped
    }
    fn skip_by_operations(layer: &Dense<6, 6, Tanh, f64, Cpu>, x: Taped<6, f64>) -> Taped<6, f64> {
        let (skipped, tape) = x.split_tape();
        operations(layer, skipped.clone().put_tape(tape)) + skipped
    }
    let dev = Cpu::default();
    let layer = layer::<6, 6, Tanh, f64>(&dev, 1);
    let x = batch::<6, f64, _>(&dev, &numbers(5 * 6, 5));
    let (found, expected) = (pass(&layer, &x, skip), pass(&layer, &x, skip_by_operations));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(relative_error(found, expected) < 1e-12);
    }
}

#[test]
fn a_layer_applied_twice_adds_both_gradients() {
    let dev = Cpu::default();
    let layer = layer::<6, 6, Tanh, f64>(&dev, 1);
    let x = batch::<6, f64, _>(&dev, &numbers(5 * 6, 5));
    let found = pass(&layer, &x, |layer, x| layer.forward(layer.forward(x)));
    let expected = pass(&layer, &x, |layer, x| {
        operations(layer, operations(layer, x))
    });
    for (found, expected) in found.iter().zip(&expected) {
        assert!(relative_error(found, expected) < 1e-12);
    }
}

#[test]
fn inputs_and_weights_in_any_layout_give_the_same() {
    let dev = Cpu::default();
    let plain = layer::<4, 3, Tanh, f64>(&dev, 1);
    // The same numbers with their axes swapped in memory.
    let turned: Tensor<Rank2<4, 3>, f64, _> = {
        let turned: Tensor<Rank2<4, 3>, f64, _> = plain.weight.clone().permute();
        turned.contiguous()
    };
    let strided = Dense::<4, 3, Tanh, f64, _>::new(turned.permute(), plain.bias.clone());
    let x: Tensor<Rank2<4, 5>, f64, _> = dev.tensor_from_vec(numbers(20, 5), (Const, Const));
    let permuted: Tensor<Rank2<5, 4>, f64, _> = x.permute();
    let copied = permuted.clone().contiguous();
    let row: Tensor<Rank1<4>, f64, _> = dev.tensor_from_vec(numbers(4, 6), (Const,));
    let repeated: Tensor<Rank2<5, 4>, f64, _> = row.broadcast();
    let run = |layer: &Dense<4, 3, Tanh, f64, Cpu>, x: &Tensor<Rank2<5, 4>, f64, Cpu>| {
        let y = layer.forward(x.leaky_trace());
        let values = y.as_vec();
        let gradients = y.square().sum::<Rank0, _>().backward();
        let mut all = values;
        all.extend(gradients.get(x).as_vec());
        all.extend(gradients.get(&layer.weight).as_vec());
        all.extend(gradients.get(&layer.bias).as_vec());
        all
    };
    let expected = run(&plain, &copied);
    assert!(relative_error(&run(&plain, &permuted), &expected) < 1e-12);
    assert!(relative_error(&run(&strided, &copied), &expected) < 1e-12);
    let of_copy = run(&plain, &repeated.clone().contiguous());
    let of_broadcast = run(&plain, &repeated);
    // A broadcast tensor has one gradient for all of its copies; value and parameters are the same.
    assert!(relative_error(&of_broadcast[..15], &of_copy[..15]) < 1e-12);
    assert!(relative_error(&of_broadcast[35..], &of_copy[35..]) < 1e-12);
}

#[test]
fn nan_in_any_part_reaches_the_output() {
    fn check<A: Activation>() {
        let dev = Cpu::default();
        let good = layer::<5, 3, A, f32>(&dev, 1);
        let x = batch::<5, f32, _>(&dev, &numbers(10, 5));
        let with_nan = |mut values: Vec<f64>, at: usize| {
            values[at] = f64::NAN;
            values
        };
        let mut weights = good.clone();
        set_parameters(&mut weights, &[with_nan(numbers(15, 1), 7), numbers(3, 2)]);
        let mut biases = good.clone();
        set_parameters(&mut biases, &[numbers(15, 1), with_nan(numbers(3, 2), 1)]);
        // Output 1 of both samples.
        for layer in [&weights, &biases] {
            let y = layer.forward(x.clone()).as_vec();
            let nan: Vec<bool> = y.iter().map(|y| y.is_nan()).collect();
            assert_eq!(nan, [false, true, false, false, true, false]);
        }
        // All outputs of the second sample.
        let x = batch::<5, f32, _>(&dev, &with_nan(numbers(10, 5), 8));
        let y = good.forward(x).as_vec();
        let nan: Vec<bool> = y.iter().map(|y| y.is_nan()).collect();
        assert_eq!(nan, [false, false, false, true, true, true]);
    }
    check::<Identity>();
    check::<Tanh>();
    check::<Relu>();
    check::<Sigmoid>();
    check::<Sin>();
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    const WIDTH: usize = 256;
    let dev = Cpu::default();
    let layer = layer::<WIDTH, WIDTH, Tanh, f32>(&dev, 1);
    let rows = 160;
    let x = batch::<WIDTH, f32, _>(&dev, &numbers(rows * WIDTH, 5));
    let with_threads = |count: usize| {
        let threads = rayon::ThreadPoolBuilder::new().num_threads(count);
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        threads.build().unwrap().install(|| {
            let y = layer.forward(x.leaky_trace());
            let values = bits(y.as_vec());
            let gradients = y.square().sum::<Rank0, _>().backward();
            let of_weight = bits(gradients.get(&layer.weight).as_vec());
            (values, of_weight, bits(gradients.get(&x).as_vec()))
        })
    };
    let one = with_threads(1);
    assert_eq!(one, with_threads(2));
    assert_eq!(one, with_threads(7));
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Images {
        input: [2, 3],
        encoder: [Flatten, Dense(6 => 4, tanh)],
        ode: Ode {
            field(t, y): Dense(4 => 4, tanh),
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
        head: Dense(4 => 2),
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct BlockFirst {
        input: [3],
        squash: sigmoid,
        ode: Ode {
            field(t, y): [Dense(3 => 5, tanh), Dense(5 => 3)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-6, atol: 1e-6 },
        },
    }
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct NoParameters {
        input: [2, 2],
        squash: [Flatten, tanh],
    }
}

/// Compares a model's two ways to train on `x`: `$model` gives its gradients, and `x` none.
macro_rules! same_gradients {
    ($model:expr, $x:expr) => {{
        let (model, x) = ($model, $x);
        let given = x.trace(model.alloc_grads());
        let (y, stats) = model.try_forward_with_stats(given).unwrap();
        let expected = (y.as_vec(), stats);
        let (expected_gradients, _) = try_backward(y.square().sum::<Rank0, _>()).unwrap();

        let (y, stats) = model
            .try_forward_traced(x.clone(), model.alloc_grads())
            .unwrap();
        assert_eq!((y.as_vec(), stats), expected);
        let (gradients, _) = try_backward(y.square().sum::<Rank0, _>()).unwrap();
        assert_eq!(
            gradients_of(&model, &gradients),
            gradients_of(&model, &expected_gradients)
        );
    }};
}

#[test]
fn data_gives_the_parameters_the_gradients_of_a_taped_input() {
    let dev = Cpu::seed_from_u64(3);
    let images: Tensor<(usize, Const<2>, Const<3>), f64, _> = dev.sample_like(
        &(7, Const, Const),
        rand::distributions::Uniform::new(-1.0, 1.0),
    );
    same_gradients!(Images::<f64, _>::build(&dev), images);
    let states: Tensor<Rank2<7, 3>, f64, _> = dev.sample_uniform();
    same_gradients!(BlockFirst::<f64, _>::build(&dev), states);
}

#[test]
fn gradients_of_several_passes_add_up() {
    let dev = Cpu::seed_from_u64(3);
    let model = Images::<f64, _>::build(&dev);
    let x: Tensor<Rank3<4, 2, 3>, f64, _> = dev.sample_uniform();
    let pass = |gradients| {
        let (y, _) = model.try_forward_traced(x.clone(), gradients).unwrap();
        try_backward(y.square().sum::<Rank0, _>()).unwrap().0
    };
    let once = gradients_of(&model, &pass(model.alloc_grads()));
    let twice = gradients_of(&model, &pass(pass(model.alloc_grads())));
    for (once, twice) in once.iter().zip(&twice) {
        let doubled: Vec<f64> = once.iter().map(|x| 2.0 * x).collect();
        assert!(relative_error(twice, &doubled) < 1e-12);
    }
}

#[test]
fn data_has_no_gradient() {
    let dev = Cpu::seed_from_u64(3);
    let model = Images::<f64, _>::build(&dev);
    let x: Tensor<Rank3<4, 2, 3>, f64, _> = dev.sample_uniform();
    // These gradients would keep one of the input.
    let (y, _) = model
        .try_forward_traced(x.clone(), Gradients::leaky())
        .unwrap();
    let (mut gradients, _) = try_backward(y.square().sum::<Rank0, _>()).unwrap();
    gradients.try_alloc_for(&x).unwrap();
    assert_eq!(gradients.get(&x).as_vec(), [0.0; 24]);
}

#[test]
fn data_is_checked_and_a_model_without_parameters_takes_it() {
    let dev = Cpu::default();
    let model = NoParameters::<f64, _>::build(&dev);
    let x: Tensor<Rank3<1, 2, 2>, f64, _> = dev.tensor([[[1.0, 2.0], [3.0, -1.0]]]);
    let (y, _) = model
        .try_forward_traced(x.clone(), Gradients::leaky())
        .unwrap();
    assert_eq!(y.array(), [[1.0, 2.0, 3.0, -1.0].map(f64::tanh)]);
    let broken = x * f64::INFINITY;
    let failed = model.try_forward_traced(broken, Gradients::leaky());
    assert!(matches!(
        failed.map(|_| ()),
        Err(SolveError::NonFiniteData {
            sample: Some(0),
            ..
        })
    ));
}
