//! A convolutional ODE-Net on MNIST: an image is encoded, flows for a unit of time, and is read.
//!
//! ```console
//! $ cargo run --release --example conv_ode
//! $ cargo run --release --example conv_ode -- --images 10000 --epochs 5
//! ```
//!
//! The block is the continuous form of a residual network whose layers share their weights (R. T. Q. Chen, Y. Rubanova,
//! J. Bettencourt, D. Duvenaud, "Neural Ordinary Differential Equations", `NeurIPS` 2018, arXiv:1806.07366), small enough
//! for a processor. The images are those of the example `mnist_ode`; where MNIST cannot be had, drawn digits.

#[allow(dead_code, reason = "the other example uses more of the module")]
#[path = "mnist_ode/data/mod.rs"]
mod data;

use std::{error::Error, path::PathBuf, process::ExitCode, time::Instant};

use clap::Parser;
use neuralode::prelude::*;
use rand::{rngs::StdRng, seq::SliceRandom, SeedableRng};

neural_ode! {
    /// 1578 parameters.
    #[derive(Clone, Debug)]
    pub struct ConvOde {
        input: [28, 28],
        encoder: [Reshape([1, 28, 28]), Conv2d(1 => 8, relu, kernel: 3, stride: 2, padding: 1)],
        ode: Ode {
            field(t, y): [Conv2d(8 => 8, tanh, kernel: 3, padding: 1), Conv2d(8 => 8, kernel: 3, padding: 1)],
            span: 0.0..1.0,
            solver: Tsit5 { rtol: 1e-3, atol: 1e-3 },
        },
        head: [AvgPool2d(kernel: 7), Flatten, Dense(32 => 10)],
    }
}

/// Trains a convolutional ODE-Net on MNIST.
#[derive(Parser, Debug)]
struct Arguments {
    /// Folder with the MNIST files [default: the places of the example `mnist_ode`]
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// Use the first N images; nine tenths of them for training
    #[arg(long, value_name = "N", default_value_t = 1500, value_parser = at_least_two)]
    images: usize,
    /// Images per training step
    #[arg(long, value_name = "N", default_value = "64")]
    batch: std::num::NonZeroUsize,
    /// Passes over the training images
    #[arg(long, value_name = "N", default_value_t = 15)]
    epochs: usize,
    /// Learning rate of Adam
    #[arg(long, value_name = "RATE", default_value_t = 5e-3)]
    lr: f64,
    /// Seed of the initial weights and of the order of images
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn at_least_two(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= 2 => Ok(number),
        _ => Err("expected a whole number of at least 2".to_owned()),
    }
}

type Inputs = Tensor<(usize, Const<28>, Const<28>), f32, Cpu>;
type Targets = Tensor<(usize, Const<10>), f32, Cpu>;

/// The images at `indices` as numbers from 0 to 1, and their labels, one-hot.
fn batch(device: &Cpu, set: &data::DataSet, indices: &[usize]) -> (Inputs, Targets) {
    let mut pixels = Vec::with_capacity(indices.len() * 784);
    let mut targets = vec![0.0; indices.len() * 10];
    for (row, index) in targets.chunks_exact_mut(10).zip(indices) {
        let image = &set.images[index * 784..][..784];
        pixels.extend(image.iter().map(|pixel| f32::from(*pixel) / 255.0));
        row[usize::from(set.labels[*index])] = 1.0;
    }
    (
        device.tensor_from_vec(pixels, (indices.len(), Const, Const)),
        device.tensor_from_vec(targets, (indices.len(), Const)),
    )
}

/// The fraction of the images at `indices` whose largest logit is that of their label.
#[allow(clippy::cast_precision_loss, reason = "there are at most 60000 images")]
fn accuracy(
    model: &ConvOde<f32, Cpu>,
    set: &data::DataSet,
    indices: &[usize],
) -> Result<f64, SolveError> {
    let device = Cpu::default();
    let mut right = 0;
    for indices in indices.chunks(256) {
        let logits = model.try_forward(batch(&device, set, indices).0)?.as_vec();
        for (row, index) in logits.chunks_exact(10).zip(indices) {
            let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
            right += usize::from(best.map(|(at, _)| at) == Some(set.labels[*index].into()));
        }
    }
    Ok(right as f64 / indices.len() as f64)
}

#[allow(clippy::cast_precision_loss, reason = "there are at most 60000 images")]
fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let places = data::Places::from_env(arguments.data_dir.clone());
    let set = data::load(&places, arguments.images)?;
    println!("Data: {}.", set.origin);
    let device = Cpu::seed_from_u64(arguments.seed);
    let mut model = ConvOde::<f32, _>::build(&device);
    println!("{}\n", model.summary());
    let config = AdamConfig {
        lr: arguments.lr,
        ..AdamConfig::default()
    };
    let mut optimizer = FusedAdam::new(&model, config);
    let mut gradients = model.alloc_grads();
    let mut order: Vec<usize> = (0..set.len()).collect();
    let (training, test) = order.split_at_mut((set.len() * 9 / 10).max(1));
    let mut rng = StdRng::seed_from_u64(arguments.seed ^ 0x5EED_0DE5);
    println!("  epoch  seconds    loss  train %   test %  steps");
    for epoch in 1..=arguments.epochs {
        training.shuffle(&mut rng);
        let start = Instant::now();
        let (mut sum, mut steps, mut batches) = (0.0, 0_usize, 0_u32);
        for indices in training.chunks(arguments.batch.get()) {
            let (inputs, targets) = batch(&device, &set, indices);
            let (logits, stats) = model.try_forward_traced(inputs, gradients)?;
            let loss = try_softmax_cross_entropy(logits, targets)?;
            sum += f64::from(loss.array()) * indices.len() as f64;
            (gradients, _) = try_backward(loss)?;
            optimizer.step(&mut model, &mut gradients)?;
            steps += stats.accepted + stats.rejected;
            batches += 1;
        }
        println!(
            "  {epoch:5}  {:7.2}  {:.4}  {:7.2}  {:7.2}  {:5.1}",
            start.elapsed().as_secs_f64(),
            sum / training.len() as f64,
            100.0 * accuracy(&model, &set, training)?,
            100.0 * accuracy(&model, &set, test)?,
            steps as f64 / f64::from(batches),
        );
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
