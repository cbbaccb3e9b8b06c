//! The training loop of the tutorial.

use std::{error::Error, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};
use neuralode::prelude::*;
use rand::{rngs::StdRng, seq::SliceRandom, SeedableRng};

use crate::{
    cli::Arguments,
    data::DataSet,
    report::{Epoch, Report},
    stop, MnistOde,
};

const PIXELS: usize = 28 * 28;
const CLASSES: usize = 10;

type Targets<D> = Tensor<(usize, Const<CLASSES>), f32, D>;

/// The images, of which the first nine tenths are for training.
pub(crate) struct Images {
    pixels: Vec<u8>,
    labels: Vec<u8>,
    training: usize,
}

impl Images {
    pub(crate) fn split(set: DataSet) -> Self {
        let count = set.len();
        Self {
            training: (count * 9 / 10).clamp(1, count - 1),
            pixels: set.images,
            labels: set.labels,
        }
    }

    pub(crate) fn training(&self) -> usize {
        self.training
    }

    pub(crate) fn test(&self) -> usize {
        self.labels.len() - self.training
    }

    /// The images at `indices`, as numbers from 0 to 1.
    fn inputs(&self, indices: &[usize]) -> Result<Samples<f32>, SolveError> {
        Samples::from_fn(indices.len(), PIXELS, |sample, numbers| {
            let image = &self.pixels[indices[sample] * PIXELS..][..PIXELS];
            for (number, &pixel) in numbers.iter_mut().zip(image) {
                *number = f32::from(pixel) / 255.0;
            }
        })
    }

    /// The labels at `indices`, one-hot.
    fn targets<D: Device<f32>>(&self, device: &D, indices: &[usize]) -> Result<Targets<D>, String> {
        let mut targets = vec![0.0; indices.len() * CLASSES];
        for (row, &index) in targets.chunks_exact_mut(CLASSES).zip(indices) {
            row[usize::from(self.labels[index])] = 1.0;
        }
        device
            .try_tensor_from_vec(targets, (indices.len(), Const))
            .map_err(|error| error.to_string())
    }
}

/// Trains `model`; every finished epoch goes to `report`.
pub(crate) fn train<D: Device<f32>>(
    model: &mut MnistOde<f32, D>,
    device: &D,
    images: &Images,
    arguments: &Arguments,
    seed: u64,
    report: &mut Report,
) -> Result<(), Box<dyn Error>> {
    let config = AdamConfig {
        lr: arguments.lr,
        ..AdamConfig::default()
    };
    let mut optimizer = FusedAdam::new(model, config);
    let mut gradients = model.try_alloc_grads().map_err(|error| error.to_string())?;
    // The order of images must not depend on how many numbers the initial weights took.
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5EED_0DE5);
    let mut order: Vec<usize> = (0..images.training()).collect();
    for epoch in 1..=arguments.epochs {
        order.shuffle(&mut rng);
        let bar = progress_bar(epoch, order.len().div_ceil(arguments.batch));
        let start = Instant::now();
        let mut sum = Epoch::new(epoch);
        for batch in order.chunks(arguments.batch) {
            stop::check()?;
            let (inputs, targets) = (images.inputs(batch)?, images.targets(device, batch)?);
            let (logits, forward) = model.try_forward_samples_traced(&inputs, gradients)?;
            let loss = try_softmax_cross_entropy(logits, targets)?;
            let value: f32 = loss.as_vec().into_iter().sum();
            let backward;
            (gradients, backward) = try_backward(loss)?;
            optimizer.step(model, &mut gradients)?;
            sum.add(f64::from(value), batch.len(), forward, backward);
            bar.inc(1);
        }
        let seconds = start.elapsed().as_secs_f64();
        bar.set_message("measuring accuracy");
        let all: Vec<usize> = (0..images.labels.len()).collect();
        let (training, test) = all.split_at(images.training());
        let accuracies =
            [training, test].map(|part| accuracy(model, images, part, arguments.batch));
        let [train_accuracy, test_accuracy] = accuracies;
        bar.finish_and_clear();
        report.epoch(sum.finish(seconds, train_accuracy?, test_accuracy?))?;
    }
    Ok(())
}

/// The fraction of the images at `indices` whose largest logit is that of their label.
fn accuracy<D: Device<f32>>(
    model: &MnistOde<f32, D>,
    images: &Images,
    indices: &[usize],
    batch: usize,
) -> Result<f64, Box<dyn Error>> {
    let mut right = 0_usize;
    for batch in indices.chunks(batch) {
        stop::check()?;
        let (logits, _) = model.try_forward_samples(&images.inputs(batch)?)?;
        let logits = logits.as_vec();
        for (row, &index) in logits.chunks_exact(CLASSES).zip(batch) {
            let guess = row
                .iter()
                .enumerate()
                .max_by(|a, b| a.1.total_cmp(b.1))
                .map(|(class, _)| class);
            right += usize::from(guess == Some(usize::from(images.labels[index])));
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "there are at most 60000 images")]
    Ok(right as f64 / indices.len() as f64)
}

/// Shown on a terminal only, on standard error.
fn progress_bar(epoch: usize, batches: usize) -> ProgressBar {
    let bar = ProgressBar::new(batches as u64);
    match ProgressStyle::with_template("epoch {prefix} {bar:30} {pos}/{len} batches {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
    .with_prefix(epoch.to_string())
}
