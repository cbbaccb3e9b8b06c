//! Downloads MNIST and keeps it in the user's cache folder.
//!
//! Nothing here can stop the example: every failure becomes a sentence that says why there are no
//! files. Every request has a time limit, and what arrives is used only if its unpacked content
//! has the known SHA-256.

use super::error::Fault;
use super::idx::{self, Kind, Training, IMAGES, LABELS};
use indicatif::{ProgressBar, ProgressStyle};
use neuralode::files;
use std::error::Error;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::{Agent, Proxy};

/// Public copies of the files, tried in this order.
pub(crate) const MIRRORS: [&str; 2] = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
];

/// The time limit for the whole download: 10 MB, so even a slow line is done sooner.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

/// A machine without network must notice soon.
const CONNECT: Duration = Duration::from_secs(5);
/// For the first byte of an answer.
const ANSWER: Duration = Duration::from_secs(15);
/// The largest file has 10 MB; what goes on longer is something else.
const LARGEST: u64 = 32 << 20;

/// The files as they came and what they hold.
#[derive(Debug)]
pub(crate) struct Download {
    /// The mirror they came from.
    pub(crate) mirror: String,
    /// The checked content.
    pub(crate) training: Training,
    packed: [(&'static Kind, Vec<u8>); 2],
}

/// Downloads the training files from the first mirror that has them, or says why none has.
pub(crate) fn download(mirrors: &[String], patience: Duration) -> Result<Download, String> {
    let end = Instant::now() + patience;
    let mut reasons = Vec::new();
    for mirror in mirrors {
        match from_mirror(mirror, end) {
            Ok(download) => return Ok(download),
            Err(reason) => reasons.push(reason),
        }
    }
    Err(reasons.join("; "))
}

/// Downloads and checks both files from one mirror.
fn from_mirror(mirror: &str, end: Instant) -> Result<Download, String> {
    let get = |kind: &'static Kind| -> Result<_, String> {
        let url = format!("{mirror}{}", kind.packed_name());
        let packed = fetch(&url, end).map_err(|reason| format!("`{url}`: {reason}"))?;
        let as_path = Path::new(&url);
        let checked = idx::check_packed(kind, as_path, packed.as_slice(), 0)
            .and_then(|checked| checked.or_not_mnist(kind, as_path))
            .map_err(|fault: Fault| fault.to_string())?;
        Ok((packed, checked))
    };
    // The small file first: a machine without network learns it sooner.
    let (packed_labels, labels) = get(&LABELS)?;
    let (packed_images, images) = get(&IMAGES)?;
    let training =
        Training::new(Path::new(mirror), images, labels).map_err(|fault| fault.to_string())?;
    Ok(Download {
        mirror: mirror.to_owned(),
        training,
        packed: [(&LABELS, packed_labels), (&IMAGES, packed_images)],
    })
}

/// The bytes behind `url`, with a progress bar where a person is watching.
fn fetch(url: &str, end: Instant) -> Result<Vec<u8>, String> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err("the time for the download is up".to_owned());
    }
    // Only tests use plain `http`, to reach this very machine: no proxy can do that.
    let secure = url.starts_with("https:");
    let proxy = if secure { Proxy::try_from_env() } else { None };
    let agent: Agent = Agent::config_builder()
        .https_only(secure)
        .proxy(proxy)
        .timeout_resolve(Some(CONNECT.min(left)))
        .timeout_connect(Some(CONNECT.min(left)))
        .timeout_recv_response(Some(ANSWER.min(left)))
        .timeout_global(Some(left))
        .build()
        .into();
    let response = agent.get(url).call().map_err(|error| error.to_string())?;
    let body = response.into_body();
    let bar = progress_bar(body.content_length());
    let mut bytes = Vec::new();
    let read = bar
        .wrap_read(body.into_reader().take(LARGEST))
        .read_to_end(&mut bytes);
    bar.finish_and_clear();
    read.map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// A bar on standard error, which stays silent where that is no terminal.
fn progress_bar(length: Option<u64>) -> ProgressBar {
    let Some(length) = length else {
        return ProgressBar::new_spinner();
    };
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template("MNIST {bar:30} {bytes}/{total_bytes} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

impl Download {
    /// Keeps the files in `cache` for the next run.
    pub(crate) fn keep(&self, cache: &Path) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(cache)?;
        let _guard = super::TEMPORARY.lock();
        for (kind, bytes) in &self.packed {
            files::write(cache.join(kind.packed_name()), bytes)?;
        }
        Ok(())
    }
}
