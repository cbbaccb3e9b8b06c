//! The printed table and the JSON file.

use std::{
    fs,
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
};

use neuralode::{files, Stats};
use serde::Serialize;

use crate::{
    cli::Arguments,
    data::{Origin, TEMPORARY},
    screen::{self, complain, say},
    stop::Stop,
};

/// Everything that was measured.
#[derive(Serialize)]
pub(crate) struct Report {
    dataset: &'static str,
    device: String,
    dtype: &'static str,
    adjoint: String,
    backend: &'static str,
    images: usize,
    batch: usize,
    runs: Vec<Run>,
    #[serde(skip)]
    output: Option<Output>,
}

/// One training run.
#[derive(Serialize)]
struct Run {
    seed: u64,
    epochs: Vec<Epoch>,
}

/// One pass over the training images. Counts are sums over the training steps; `nfe`, `accepted` and
/// `rejected` are those of the forward solves.
#[derive(Clone, Serialize)]
#[allow(
    clippy::struct_field_names,
    reason = "the names are those of the JSON file"
)]
pub(crate) struct Epoch {
    epoch: usize,
    /// Training only: the accuracies are measured after the clock has stopped.
    seconds: f64,
    /// Mean over the training images, each at the weights of its step.
    loss: f64,
    train_accuracy: f64,
    test_accuracy: f64,
    nfe: usize,
    accepted: usize,
    rejected: usize,
    #[serde(skip)]
    vjps: usize,
    #[serde(skip)]
    images: usize,
}

impl Epoch {
    pub(crate) fn new(epoch: usize) -> Self {
        Self {
            epoch,
            seconds: 0.0,
            loss: 0.0,
            train_accuracy: 0.0,
            test_accuracy: 0.0,
            nfe: 0,
            accepted: 0,
            rejected: 0,
            vjps: 0,
            images: 0,
        }
    }

    /// Adds one training step with the mean loss of its images.
    pub(crate) fn add(&mut self, loss: f64, images: usize, forward: Stats, backward: Stats) {
        self.loss += loss * count(images);
        self.images += images;
        self.nfe += forward.field_calls;
        self.accepted += forward.accepted;
        self.rejected += forward.rejected;
        self.vjps += backward.vjps;
    }

    pub(crate) fn finish(mut self, seconds: f64, train_accuracy: f64, test_accuracy: f64) -> Self {
        self.loss /= count(self.images.max(1));
        self.seconds = seconds;
        self.train_accuracy = train_accuracy;
        self.test_accuracy = test_accuracy;
        self
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn count(n: usize) -> f64 {
    n as f64
}

impl Report {
    /// A report that goes to `output` as well.
    pub(crate) fn new(arguments: &Arguments, origin: &Origin, output: Option<Output>) -> Self {
        Self {
            dataset: origin.name(),
            device: arguments.device.to_string(),
            dtype: "f32",
            adjoint: arguments.adjoint.to_string(),
            backend: arguments.effective_backend(),
            images: arguments.images,
            batch: arguments.batch,
            runs: Vec::new(),
            output,
        }
    }

    /// Starts the table of one run.
    pub(crate) fn begin(&mut self, seed: u64) {
        say!("seed {seed}");
        say!("  epoch  seconds    loss   train %   test %  field calls  steps (rejected)    VJPs");
        self.runs.push(Run {
            seed,
            epochs: Vec::new(),
        });
    }

    /// Prints and keeps one epoch, and writes all of them so far.
    ///
    /// # Errors
    /// [`Stop::Unread`] if that went nowhere.
    pub(crate) fn epoch(&mut self, epoch: Epoch) -> Result<(), Stop> {
        say!(
            "  {:>5}  {:>7.3}  {:>6}  {:>8.3}  {:>7.3}  {:>11}  {:>5} ({:>8})  {:>6}",
            epoch.epoch,
            epoch.seconds,
            loss(epoch.loss),
            100.0 * epoch.train_accuracy,
            100.0 * epoch.test_accuracy,
            epoch.nfe,
            epoch.accepted,
            epoch.rejected,
            epoch.vjps,
        );
        if let Some(run) = self.runs.last_mut() {
            run.epochs.push(epoch);
        }
        if let Err(error) = self.save() {
            // There may be room after the next one.
            complain!("warning: {error}");
        }
        if self.output.is_none() && screen::is_unread() {
            return Err(Stop::Unread);
        }
        Ok(())
    }

    /// Writes the JSON file, if there is one.
    pub(crate) fn save(&self) -> Result<(), String> {
        match &self.output {
            Some(output) => output.write(self),
            None => Ok(()),
        }
    }

    /// Mean and standard deviation over the runs, after the last epoch, if there are several.
    pub(crate) fn print_means(&self) {
        let last: Vec<&Epoch> = self
            .runs
            .iter()
            .filter_map(|run| run.epochs.last())
            .collect();
        if last.len() < 2 {
            return;
        }
        let of =
            |value: fn(&Epoch) -> f64| mean_and_deviation(last.iter().map(|epoch| value(epoch)));
        let (train, train_sd) = of(|epoch| 100.0 * epoch.train_accuracy);
        let (test, test_sd) = of(|epoch| 100.0 * epoch.test_accuracy);
        let (seconds, seconds_sd) = of(|epoch| epoch.seconds);
        say!(
            "\n{} runs, last epoch, mean ± sd: train {train:.2} ± {train_sd:.2} %, test {test:.2} ± {test_sd:.2} %, \
             {seconds:.3} ± {seconds_sd:.3} s",
            last.len(),
        );
    }
}

/// A configuration in the table of a comparison.
pub(crate) struct Row {
    page: &'static str,
    configuration: String,
    first_seconds: f64,
    later_seconds: f64,
    last: Epoch,
}

impl Report {
    /// The last run, beside the name that the tutorial's page has for it.
    pub(crate) fn row(&self, page: &'static str) -> Row {
        let epochs = self.runs.last().map_or(&[][..], |run| &run.epochs);
        let mut later: Vec<f64> = epochs.iter().skip(1).map(|epoch| epoch.seconds).collect();
        later.sort_by(f64::total_cmp);
        Row {
            page,
            configuration: format!("{}, {}", self.adjoint, self.backend),
            first_seconds: epochs.first().map_or(f64::NAN, |epoch| epoch.seconds),
            later_seconds: later.get(later.len() / 2).copied().unwrap_or(f64::NAN),
            last: epochs.last().cloned().unwrap_or_else(|| Epoch::new(0)),
        }
    }
}

/// One line per configuration: seconds of the first epoch and the median of the later ones, and what the last epoch
/// reached and cost.
pub(crate) fn print_comparison(rows: &[Row]) {
    say!(
        "{:<25}  {:<36}  first s  later s  train %   test %  field calls    VJPs",
        "adjoint, backend",
        "on the tutorial's page",
    );
    for row in rows {
        say!(
            "{:<25}  {:<36}  {:>7.4}  {:>7.4}  {:>7.3}  {:>7.3}  {:>11}  {:>6}",
            row.configuration,
            row.page,
            row.first_seconds,
            row.later_seconds,
            100.0 * row.last.train_accuracy,
            100.0 * row.last.test_accuracy,
            row.last.nfe,
            row.last.vjps,
        );
    }
}

/// Four digits behind the point, or a power of ten for a loss that has run away.
fn loss(loss: f64) -> String {
    if loss < 1e4 {
        format!("{loss:.4}")
    } else {
        format!("{loss:.1e}")
    }
}

/// The sample mean and standard deviation of at least two numbers.
fn mean_and_deviation(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let n = count(values.clone().count());
    let mean = values.clone().sum::<f64>() / n;
    let variance = values.map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, variance.sqrt())
}

/// The JSON file, which holds all finished epochs at any time.
pub(crate) struct Output(PathBuf);

impl Output {
    /// Makes sure before the training that the file can be written, so that a wrong path costs no time.
    pub(crate) fn create(path: &Path) -> Result<Self, String> {
        let explain = |error: io::Error| {
            format!(
                "the file `{}` cannot be written ({error}): name a file in an existing folder with --json",
                path.display()
            )
        };
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(explain(io::Error::other("it is not a file")));
            }
            Ok(_) => {
                let earlier = OpenOptions::new().write(true).open(path);
                drop(earlier.map_err(explain)?);
            }
            Err(_) => {}
        }
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let _guard = TEMPORARY.lock();
        drop(tempfile::tempfile_in(folder).map_err(explain)?);
        Ok(Self(path.to_owned()))
    }

    fn write(&self, report: &Report) -> Result<(), String> {
        let mut text = serde_json::to_string(report).map_err(|error| error.to_string())?;
        text.push('\n');
        let _guard = TEMPORARY.lock();
        files::write(&self.0, text).map_err(|error| error.to_string())
    }
}
