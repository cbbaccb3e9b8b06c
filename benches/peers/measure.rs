//! Times of repeated calls, and the file that holds them.

use std::{collections::BTreeMap, error::Error, fs, hint::black_box, path::Path, time::Instant};

use serde::{Deserialize, Serialize};

/// The times of one case.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Timing {
    pub(crate) median_ms: f64,
    #[serde(default)]
    pub(crate) min_ms: f64,
    #[serde(default)]
    pub(crate) first_call_s: f64,
    /// Accepted and rejected steps of the forward solve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) loss: Option<f64>,
    /// Of the solution or the gradient, against a solve with tight tolerances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<f64>,
}

/// What a case gave besides its time.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) steps: Option<usize>,
    pub(crate) loss: Option<f64>,
    pub(crate) error: Option<f64>,
}

/// All cases of a run: ours, and those of the libraries that run beside.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Results {
    #[serde(default)]
    pub(crate) neuralode: String,
    #[serde(rename = "results")]
    pub(crate) ours: BTreeMap<String, Timing>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) peers: BTreeMap<String, Timing>,
}

/// Calls `run` once, and then `repetitions` times on what `prepare` makes outside of the measured time.
pub(crate) fn time<P, T, E>(
    repetitions: usize,
    mut prepare: impl FnMut() -> P,
    mut run: impl FnMut(P) -> Result<T, E>,
) -> Result<(Timing, T), E> {
    let mut seconds = || -> Result<(f64, T), E> {
        let prepared = prepare();
        let start = Instant::now();
        let value = black_box(run(black_box(prepared))?);
        Ok((start.elapsed().as_secs_f64(), value))
    };
    let (first_call_s, mut last) = seconds()?;
    let mut times = Vec::with_capacity(repetitions);
    for _ in 0..repetitions {
        let (time, value) = seconds()?;
        times.push(time * 1e3);
        last = value;
    }
    times.sort_by(f64::total_cmp);
    let middle = times.len() / 2;
    let timing = Timing {
        median_ms: f64::midpoint(times[(times.len() - 1) / 2], times[middle]),
        min_ms: times[0],
        first_call_s,
        ..Timing::default()
    };
    Ok((timing, last))
}

impl Results {
    /// Keeps and prints one of our cases.
    pub(crate) fn add(&mut self, name: &str, timing: Timing, facts: Facts) {
        let timing = with_facts(name, timing, facts);
        self.ours.insert(name.to_owned(), timing);
    }

    /// Keeps and prints a case of another library.
    pub(crate) fn add_peer(&mut self, name: &str, timing: Timing, facts: Facts) {
        let timing = with_facts(name, timing, facts);
        self.peers.insert(name.to_owned(), timing);
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), Box<dyn Error>> {
        let with_version = Self {
            neuralode: env!("CARGO_PKG_VERSION").to_owned(),
            ..self.clone()
        };
        fs::write(file, serde_json::to_string_pretty(&with_version)?)
            .map_err(|error| format!("{}: {error}", file.display()).into())
    }

    pub(crate) fn read(file: &Path) -> Result<Self, Box<dyn Error>> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()).into())
    }
}

fn with_facts(name: &str, timing: Timing, facts: Facts) -> Timing {
    let mut line = format!(
        "{name:34} {:9.3} ms (min {:.3})  first call {:6.3} s",
        timing.median_ms, timing.min_ms, timing.first_call_s
    );
    let steps = facts.steps.map(|steps| format!("  steps {steps}"));
    let loss = facts.loss.map(|loss| format!("  loss {loss:.6}"));
    let error = facts.error.map(|error| format!("  error {error:.1e}"));
    line.extend([steps, loss, error].into_iter().flatten());
    println!("{line}");
    Timing {
        steps: facts.steps,
        loss: facts.loss,
        error: facts.error,
        ..timing
    }
}
