//! Convolutions and pools against loops written here: values, gradients by differences, and whole models.

#![allow(missing_docs, reason = "a test program")]
#![allow(
    clippy::cast_precision_loss,
    clippy::too_many_lines,
    reason = "small numbers, and one list of cases"
)]

mod support;

use neuralode::{prelude::*, Adjoint, Backend};
use rand::{rngs::StdRng, Rng, SeedableRng};
use support::{
    derivative, gradients_of, parameters_of, relative_error, set_parameters, shift_biases, to_f64,
};

/// The sizes of a layer over windows.
#[derive(Clone, Copy)]
struct Sizes {
    samples: usize,
    /// Channels, height and width of what enters and of what leaves.
    from: (usize, usize, usize),
    to: (usize, usize, usize),
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Sizes {
    /// Calls `f(sample, line, column, rows)` with the pixels that the window there meets, each with its place in the
    /// window.
    fn windows(self, mut f: impl FnMut(usize, usize, usize, &[(usize, usize, usize, usize)])) {
        let ((_, height, width), (_, lines, columns)) = (self.from, self.to);
        for sample in 0..self.samples {
            for line in 0..lines {
                for column in 0..columns {
                    let mut met = Vec::new();
                    for down in 0..self.kernel {
                        for right in 0..self.kernel {
                            let y = line * self.stride + down;
                            let x = column * self.stride + right;
                            let inside = |at: usize, length: usize| {
                                at >= self.padding && at - self.padding < length
                            };
                            if inside(y, height) && inside(x, width) {
                                met.push((down, right, y - self.padding, x - self.padding));
                            }
                        }
                    }
                    f(sample, line, column, &met);
                }
            }
        }
    }

    /// The place of a number among those that enter, and among those that leave.
    fn entering(self, sample: usize, channel: usize, line: usize, column: usize) -> usize {
        let (channels, height, width) = self.from;
        ((sample * channels + channel) * height + line) * width + column
    }

    fn leaving(self, sample: usize, channel: usize, line: usize, column: usize) -> usize {
        let (channels, height, width) = self.to;
        ((sample * channels + channel) * height + line) * width + column
    }

    fn leaving_count(self) -> usize {
        self.samples * self.to.0 * self.to.1 * self.to.2
    }

    fn convolution(self, weight: &[f64], bias: &[f64], x: &[f64], of: fn(f64) -> f64) -> Vec<f64> {
        let mut y = vec![0.0; self.leaving_count()];
        let k = self.kernel;
        self.windows(|sample, line, column, met| {
            for o in 0..self.to.0 {
                let mut sum = bias[o];
                for c in 0..self.from.0 {
                    for (down, right, y, z) in met {
                        let w = weight[((o * self.from.0 + c) * k + down) * k + right];
                        sum += w * x[self.entering(sample, c, *y, *z)];
                    }
                }
                y[self.leaving(sample, o, line, column)] = of(sum);
            }
        });
        y
    }

    fn pool(self, x: &[f64], of: fn(&[f64]) -> f64) -> Vec<f64> {
        let mut y = vec![0.0; self.leaving_count()];
        self.windows(|sample, line, column, met| {
            for c in 0..self.from.0 {
                let numbers = met.iter();
                let numbers = numbers.map(|(_, _, y, z)| x[self.entering(sample, c, *y, *z)]);
                let numbers: Vec<f64> = numbers.collect();
                y[self.leaving(sample, c, line, column)] = of(&numbers);
            }
        });
        y
    }
}

fn random(rng: &mut StdRng, count: usize) -> Vec<f64> {
    (0..count).map(|_| rng.gen_range(-1.0..1.0)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What a layer makes of `x`, and the gradients of `<c, y>` with respect to `x` and to each parameter.
struct Found {
    y: Vec<f64>,
    x_bar: Vec<f64>,
    theta_bar: Vec<Vec<f64>>,
}

/// Those of `module`, called by `forward`.
fn found<S: Shape, Y: Shape, M: TensorCollection<f64, Cpu>>(
    module: &M,
    x: &Tensor<S, f64, Cpu>,
    c: &[f64],
    forward: impl Fn(
        &M,
        Tensor<S, f64, Cpu, OwnedTape<f64, Cpu>>,
    ) -> Tensor<Y, f64, Cpu, OwnedTape<f64, Cpu>>,
) -> Found {
    let y = forward(module, x.leaky_trace());
    let values = to_f64(&y.as_vec());
    let c = Cpu::default().tensor_from_vec(c.to_vec(), *y.shape());
    let gradients = (y * c).sum::<Rank0, _>().backward();
    Found {
        y: values,
        x_bar: gradients.get(x).as_vec(),
        theta_bar: gradients_of(module, &gradients),
    }
}

/// One test per layer: a stage of a model, and the same layer called by itself, against loops.
macro_rules! convolutions {
    ($(
        $test:ident, $model:ident: [$ci:literal, $h:literal, $w:literal] $layer:tt => [$co:literal, $oh:literal, $ow:literal],
        $kernel:literal, $stride:literal, $padding:literal, $of:expr;
    )*) => {$(
        neural_ode! {
            #[derive(Clone, Debug)]
            struct $model {
                input: [$ci, $h, $w],
                layer: $layer,
            }
        }

        #[test]
        fn $test() {
            let mut rng = StdRng::seed_from_u64(7);
            let dev = Cpu::seed_from_u64(3);
            let mut model = $model::<f64, _>::build(&dev);
            shift_biases(&mut model);
            let parameters = parameters_of(&model);
            // Batches of one, of more than a tile, and of a few.
            for samples in [1, 19, 3] {
                let sizes = Sizes {
                    samples,
                    from: ($ci, $h, $w),
                    to: ($co, $oh, $ow),
                    kernel: $kernel,
                    stride: $stride,
                    padding: $padding,
                };
                let numbers = random(&mut rng, samples * $ci * $h * $w);
                let c = random(&mut rng, sizes.leaving_count());
                let x: Tensor<(usize, Const<$ci>, Const<$h>, Const<$w>), f64, _> =
                    dev.tensor_from_vec(numbers.clone(), (samples, Const, Const, Const));
                let expected = sizes.convolution(&parameters[0], &parameters[1], &numbers, $of);
                let kernels = found(&model, &x, &c, Module::forward);
                let operations = found(&model, &x, &c, |model, x| model.layer.forward(x));
                for found in [&kernels, &operations] {
                    let error = relative_error(&found.y, &expected);
                    assert!(error <= 1e-12, "value: {error:e}");
                }
                assert!(relative_error(&kernels.x_bar, &operations.x_bar) <= 1e-12);
                for (kernels, operations) in kernels.theta_bar.iter().zip(&operations.theta_bar) {
                    assert!(relative_error(kernels, operations) <= 1e-12);
                }
                if samples != 3 {
                    continue;
                }
                let by_difference = |part: usize, index: usize| {
                    derivative(|shift| {
                        let mut inputs = [parameters[0].clone(), parameters[1].clone(), numbers.clone()];
                        inputs[part][index] += shift;
                        let [weight, bias, x] = &inputs;
                        dot(&c, &sizes.convolution(weight, bias, x, $of))
                    })
                };
                let all = |part: usize, count: usize| -> Vec<f64> {
                    (0..count).map(|index| by_difference(part, index)).collect()
                };
                let weight_bar = all(0, parameters[0].len());
                let bias_bar = all(1, parameters[1].len());
                let x_bar = all(2, numbers.len());
                for found in [&kernels, &operations] {
                    for (found, expected) in [
                        (&found.theta_bar[0], &weight_bar),
                        (&found.theta_bar[1], &bias_bar),
                        (&found.x_bar, &x_bar),
                    ] {
                        let error = relative_error(found, expected);
                        assert!(error <= 1e-9, "gradient: {error:e}");
                    }
                }
            }
        }
    )*};
}

convolutions! {
    a_convolution_is_its_sum_over_windows, Plain:
        [2, 4, 5] [Conv2d(2 => 3, kernel: 3)] => [3, 2, 3], 3, 1, 0, |x| x;
    a_padded_convolution_keeps_the_image, Padded:
        [1, 4, 3] [Conv2d(5, tanh, kernel: 3, padding: 1)] => [5, 4, 3], 3, 1, 1, f64::tanh;
    a_strided_convolution_skips_places, Strided:
        [2, 5, 6] [Conv2d(2, sin, kernel: 3, stride: 2, padding: 1)] => [2, 3, 3], 3, 2, 1, f64::sin;
    a_convolution_may_leap_over_pixels, Leaping:
        [1, 7, 7] [Conv2d(_ => 9, kernel: 2, stride: 3)] => [9, 2, 2], 2, 3, 0, |x| x;
    a_window_may_be_larger_than_the_image, Surrounded:
        [2, 2, 3] [Conv2d(2, sigmoid, kernel: 5, padding: 3)] => [2, 4, 5], 5, 1, 3, |x| 1.0 / (1.0 + (-x).exp());
}

/// The same for layers without parameters.
macro_rules! pools {
    ($(
        $test:ident, $model:ident: [$ci:literal, $h:literal, $w:literal] $layer:tt => [$co:literal, $oh:literal, $ow:literal],
        $kernel:literal, $stride:literal, $of:expr;
    )*) => {$(
        neural_ode! {
            #[derive(Clone, Debug)]
            struct $model {
                input: [$ci, $h, $w],
                layer: $layer,
            }
        }

        #[test]
        fn $test() {
            let mut rng = StdRng::seed_from_u64(11);
            let dev = Cpu::default();
            let model = $model::<f64, _>::build(&dev);
            for samples in [1, 19, 3] {
                let sizes = Sizes {
                    samples,
                    from: ($ci, $h, $w),
                    to: ($co, $oh, $ow),
                    kernel: $kernel,
                    stride: $stride,
                    padding: 0,
                };
                let numbers = random(&mut rng, samples * $ci * $h * $w);
                let c = random(&mut rng, sizes.leaving_count());
                let x: Tensor<(usize, Const<$ci>, Const<$h>, Const<$w>), f64, _> =
                    dev.tensor_from_vec(numbers.clone(), (samples, Const, Const, Const));
                let kernels = found(&model, &x, &c, Module::forward);
                let operations = found(&model, &x, &c, |model, x| model.layer.forward(x));
                let expected = sizes.pool(&numbers, $of);
                let x_bar: Vec<f64> = (0..numbers.len())
                    .map(|index| {
                        derivative(|shift| {
                            // Smaller than the differences of the numbers.
                            let mut x = numbers.clone();
                            x[index] += 1e-3 * shift;
                            1e3 * dot(&c, &sizes.pool(&x, $of))
                        })
                    })
                    .collect();
                for found in [kernels, operations] {
                    let error = relative_error(&found.y, &expected);
                    assert!(error <= 1e-12, "value: {error:e}");
                    let error = relative_error(&found.x_bar, &x_bar);
                    assert!(error <= 1e-8, "gradient: {error:e}");
                }
            }
        }
    )*};
}

/// The largest number.
fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

pools! {
    a_pool_keeps_the_largest_number, Largest:
        [2, 4, 6] [MaxPool2d(kernel: 2)] => [2, 2, 3], 2, 2, largest;
    windows_of_a_pool_may_overlap, Overlapping:
        [1, 5, 5] [MaxPool2d(kernel: 3, stride: 1)] => [1, 3, 3], 3, 1, largest;
    a_pool_keeps_the_mean, Mean:
        [3, 5, 4] [AvgPool2d(kernel: 2)] => [3, 2, 2], 2, 2, mean;
    means_may_overlap, OverlappingMeans:
        [1, 4, 5] [AvgPool2d(kernel: 3, stride: 1)] => [1, 2, 3], 3, 1, mean;
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct Global {
        input: [3, 4, 5],
        layer: GlobalAvgPool,
    }
}

#[test]
fn a_global_pool_keeps_the_mean_of_each_channel() {
    let dev = Cpu::default();
    let model = Global::<f64, _>::build(&dev);
    let numbers = random(&mut StdRng::seed_from_u64(5), 7 * 60);
    let x: Tensor<Rank4<7, 3, 4, 5>, f64, _> =
        dev.tensor_from_vec(numbers.clone(), Default::default());
    let c = random(&mut StdRng::seed_from_u64(6), 21);
    let expected: Vec<f64> = numbers.chunks(20).map(mean).collect();
    let x_bar: Vec<f64> = c.iter().flat_map(|c| [c / 20.0; 20]).collect();
    let kernels = found(&model, &x, &c, Module::forward);
    let operations = found(&model, &x, &c, |model, x| model.layer.forward(x));
    for found in [kernels, operations] {
        assert!(relative_error(&found.y, &expected) <= 1e-14);
        assert!(relative_error(&found.x_bar, &x_bar) <= 1e-14);
    }
}

#[test]
fn of_equal_numbers_the_first_takes_the_gradient() {
    let dev = Cpu::default();
    let model = Largest::<f64, _>::build(&dev);
    let x: Tensor<Rank4<1, 2, 4, 6>, f64, _> = dev.ones();
    let c: Vec<f64> = (1..=12).map(f64::from).collect();
    let mut expected = vec![0.0; 48];
    for (place, c) in c.iter().enumerate() {
        let (channel, line, column) = (place / 6, place / 3 % 2, place % 3);
        expected[channel * 24 + line * 12 + column * 2] = *c;
    }
    let kernels = found(&model, &x, &c, Module::forward);
    let operations = found(&model, &x, &c, |model, x| model.layer.forward(x));
    assert_eq!(
        (kernels.x_bar, operations.x_bar),
        (expected.clone(), expected)
    );
}

neural_ode! {
    #[derive(Clone, Debug)]
    struct ConvOde {
        input: [6, 6],
        encoder: [Reshape([1, 6, 6]), Conv2d(1 => 3, tanh, kernel: 3, stride: 2, padding: 1)],
        ode: Ode {
            field(t, y): [Conv2d(3 => 4, tanh, kernel: 3, padding: 1), Conv2d(4 => 3, kernel: 3, padding: 1)],
            span: 0.0..1.0,
            solver: Rk4 { dt: 0.25 },
        },
        head: [AvgPool2d(kernel: 2, stride: 1), Flatten, Dense(12 => 4)],
    }
}

/// The loss of a model of random parameters, and its gradients.
fn loss_of(parameters: &[Vec<f64>], adjoint: Adjoint, backend: Backend) -> (f64, Vec<Vec<f64>>) {
    let dev = Cpu::default();
    let mut model = ConvOde::<f64, _>::build(&dev);
    set_parameters(&mut model, parameters);
    model.ode.options.adjoint = adjoint;
    model.ode.options.backend = backend;
    let numbers = random(&mut StdRng::seed_from_u64(1), 19 * 36);
    let x: Tensor<Rank3<19, 6, 6>, f64, _> = dev.tensor_from_vec(numbers, Default::default());
    let y = model.forward(x.trace(model.alloc_grads()));
    let targets = dev
        .one_hot_encode(Const::<4>, (0..19).map(|i| i % 4).collect::<Vec<usize>>())
        .realize::<Rank2<19, 4>>();
    let loss = softmax_cross_entropy(y, targets);
    let value = loss.array();
    let (gradients, _) = try_backward(loss).unwrap();
    (value, gradients_of(&model, &gradients))
}

#[test]
fn gradients_of_a_convolutional_ode_net_are_those_of_differences() {
    let mut model = ConvOde::<f64, _>::build(&Cpu::seed_from_u64(2));
    shift_biases(&mut model);
    let parameters = parameters_of(&model);
    let (_, gradients) = loss_of(&parameters, Adjoint::Discrete, Backend::Kernels);
    let (_, by_tape) = loss_of(&parameters, Adjoint::Discrete, Backend::Operations);
    for (generated, by_tape) in gradients.iter().zip(&by_tape) {
        let error = relative_error(generated, by_tape);
        assert!(error <= 1e-11, "{error:e}");
    }
    // Along one direction in each tensor, with all of its numbers in it.
    let mut rng = StdRng::seed_from_u64(4);
    for (part, gradient) in gradients.iter().enumerate() {
        let direction = random(&mut rng, gradient.len());
        let expected = derivative(|shift| {
            let mut moved = parameters.clone();
            for (p, d) in moved[part].iter_mut().zip(&direction) {
                *p += shift * d;
            }
            loss_of(&moved, Adjoint::Discrete, Backend::Kernels).0
        });
        let found = dot(gradient, &direction);
        let size: f64 = gradient
            .iter()
            .zip(&direction)
            .map(|(g, d)| (g * d).abs())
            .sum();
        assert!(
            (found - expected).abs() <= 1e-9 * size,
            "tensor {part}: {found} {expected}"
        );
    }
}

#[test]
fn the_continuous_adjoint_of_a_convolutional_ode_net_is_close_to_the_discrete_one() {
    let parameters = parameters_of(&ConvOde::<f64, _>::build(&Cpu::seed_from_u64(2)));
    let (loss, discrete) = loss_of(&parameters, Adjoint::Discrete, Backend::Kernels);
    let (same, continuous) = loss_of(&parameters, Adjoint::Interpolating, Backend::Kernels);
    assert_eq!(loss.to_bits(), same.to_bits());
    for (discrete, continuous) in discrete.iter().zip(&continuous) {
        // The error of four steps of Rk4.
        assert!(relative_error(continuous, discrete) <= 1e-3);
    }
}

#[test]
fn a_convolutional_ode_net_learns() {
    let dev = Cpu::seed_from_u64(0);
    let mut model = ConvOde::<f32, _>::build(&dev);
    // Which quarter of the image is bright?
    let mut rng = StdRng::seed_from_u64(3);
    let labels: Vec<usize> = (0..64).map(|_| rng.gen_range(0..4)).collect();
    let mut numbers = Vec::new();
    for label in &labels {
        for pixel in 0..36 {
            let quarter = pixel / 18 * 2 + pixel % 6 / 3;
            let light = if quarter == *label { 1.0 } else { 0.0 };
            numbers.push(light + rng.gen_range(-0.5..0.5));
        }
    }
    let x: Tensor<Rank3<64, 6, 6>, f32, _> = dev.tensor_from_vec(numbers, Default::default());
    let targets = dev
        .one_hot_encode(Const::<4>, labels)
        .realize::<Rank2<64, 4>>();
    let mut optimizer = Adam::new(
        &model,
        AdamConfig {
            lr: 1e-2,
            ..Default::default()
        },
    );
    let mut gradients = model.alloc_grads();
    let mut losses = Vec::new();
    for _ in 0..150 {
        let (logits, _) = model.try_forward_traced(x.clone(), gradients).unwrap();
        let loss = softmax_cross_entropy(logits, targets.clone());
        losses.push(loss.array());
        (gradients, _) = try_backward(loss).unwrap();
        optimizer.update(&mut model, &gradients).unwrap();
        model.zero_grads(&mut gradients);
    }
    assert!(
        losses[149] < 0.2 * losses[0],
        "{} {}",
        losses[0],
        losses[149]
    );
}

#[test]
fn a_layer_gives_the_same_bits_on_any_number_of_threads() {
    neural_ode! {
        #[derive(Clone, Debug)]
        struct Wide {
            input: [4, 12, 12],
            layer: Conv2d(4 => 8, tanh, kernel: 3, padding: 1),
        }
    }

    let dev = Cpu::seed_from_u64(1);
    let model = Wide::<f32, _>::build(&dev);
    // Enough work for several threads.
    let x: Tensor<(usize, Const<4>, Const<12>, Const<12>), f32, _> =
        dev.sample_normal_like(&(333, Const, Const, Const));
    let run = || {
        let y = model.forward(x.leaky_trace());
        let values = y.as_vec();
        let gradients = y.square().sum::<Rank0, _>().backward();
        let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<u32>>();
        (
            bits(values),
            bits(gradients.get(&x).as_vec()),
            bits(gradients.get(&model.layer.weight).as_vec()),
            bits(gradients.get(&model.layer.bias).as_vec()),
        )
    };
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(run)
    };
    assert!(on(1) == on(3));
}

#[test]
fn weights_start_by_the_fans_of_the_window() {
    neural_ode! {
        #[derive(Clone, Debug)]
        struct Started {
            input: [8, 6, 6],
            glorot: Conv2d(8 => 16, kernel: 3),
            dfdx: Conv2d(16 => 8, kernel: 2, init: dfdx),
            orthogonal: Conv2d(8 => 4, kernel: 3, init: orthogonal),
            zeros: Conv2d(4 => 2, kernel: 1, init: zeros),
        }
    }

    let model = Started::<f64, _>::build(&Cpu::seed_from_u64(9));
    let largest = |numbers: &[f64]| numbers.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
    // sqrt(6 / (inputs + outputs)), each with the area of the window.
    let bound = (6.0_f64 / (9.0 * (8.0 + 16.0))).sqrt();
    let found = largest(&model.glorot.weight.as_vec());
    assert!(found <= bound && found >= 0.99 * bound, "{found} {bound}");
    assert!(model.glorot.bias.as_vec().iter().all(|x| *x == 0.0));
    // 1 / sqrt(inputs).
    let bound = 1.0 / (16.0_f64 * 4.0).sqrt();
    let found = largest(&model.dfdx.weight.as_vec());
    assert!(found <= bound && found >= 0.98 * bound, "{found} {bound}");
    let found = largest(&model.dfdx.bias.as_vec());
    assert!(found <= bound && found > 0.3 * bound, "{found} {bound}");
    let rows = model.orthogonal.weight.as_vec();
    let rows: Vec<&[f64]> = rows.chunks(72).collect();
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate() {
            let expected = f64::from(u8::from(i == j));
            assert!((dot(a, b) - expected).abs() <= 1e-14);
        }
    }
    assert!(model.zeros.weight.as_vec().iter().all(|x| *x == 0.0));
}

/// Dropout makes a field one with state: in training it runs through operations, with these layers by kernels.
#[test]
fn fields_with_state_may_have_convolutions() {
    neural_ode! {
        #[derive(Clone, Debug)]
        struct Noisy {
            input: [2, 4, 4],
            ode: Ode {
                field(t, y): [Conv2d(3, tanh, kernel: 3, padding: 1), Dropout(0.3), Conv2d(2, kernel: 3, padding: 1)],
                span: 0.0..1.0,
                solver: Rk4 { dt: 0.5 },
            },
            head: GlobalAvgPool,
        }
    }

    let dev = Cpu::seed_from_u64(0);
    let model = Noisy::<f64, _>::build(&dev);
    let state = model.initial_state(0).unwrap();
    let x: Tensor<Rank4<5, 2, 4, 4>, f64, _> = dev.sample_normal();
    let (y, state, _) = model
        .try_forward_traced_with_state(x, model.alloc_grads(), &state)
        .unwrap();
    assert_eq!(y.shape(), &(Const::<5>, Const::<2>));
    assert_eq!(state.ode.calls, 1);
    let (gradients, _) = try_backward(y.square().sum::<Rank0, _>()).unwrap();
    for gradient in gradients_of(&model, &gradients) {
        assert!(gradient.iter().all(|x| x.is_finite()));
        assert!(gradient.iter().any(|x| *x != 0.0));
    }
}
