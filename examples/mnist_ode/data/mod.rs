//! The images of the example: MNIST where it can be had, else digits that [`digits`] draws.
//!
//! [`load`] looks for the training files of MNIST in the folders of a [`Places`], then downloads
//! them. A folder that the user named has to work; whatever the program does on its own may fail,
//! and then the images are drawn and [`Origin`] says why.

pub(crate) mod digits;
mod download;
pub(crate) mod error;
mod idx;
mod prefix;

pub(crate) use error::DataError;

use error::Named;
use etcetera::BaseStrategy;
use std::env;
use std::fmt::{self, Display, Formatter};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// The seed of drawn images: every run sees the same ones.
const DRAWN_SEED: u64 = 28;
/// No more images are drawn than MNIST has, so that a run without it fails where one with it does.
const DRAWN_LIMIT: usize = 60_000;

/// Held while there are temporary files: a program that ends for a signal waits for it.
pub(crate) static TEMPORARY: Mutex<()> = Mutex::new(());

/// Where the images came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// MNIST itself, byte for byte; `place` is a folder or a web address.
    Mnist { place: String },
    /// Files of the same format with other content, such as Fashion-MNIST.
    Other { folder: PathBuf },
    /// Drawn here; `reason` says why MNIST was not available.
    Drawn { reason: String },
}

impl Origin {
    /// A fixed name for programs to compare.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Mnist { .. } => "mnist",
            Self::Other { .. } => "idx-files",
            Self::Drawn { .. } => "drawn-digits",
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mnist { place } => write!(f, "MNIST from {place}"),
            Self::Other { folder } => write!(
                f,
                "files in MNIST's format from `{}` (not MNIST itself)",
                folder.display()
            ),
            Self::Drawn { reason } => write!(
                f,
                "digits drawn by this program, because MNIST was not available: {reason}"
            ),
        }
    }
}

/// Images of 28 by 28 pixels with their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataSet {
    /// 784 bytes per image, row by row, 0 for the background; in the order of the file.
    pub(crate) images: Vec<u8>,
    /// One digit per image.
    pub(crate) labels: Vec<u8>,
    /// Where they came from.
    pub(crate) origin: Origin,
}

impl DataSet {
    /// How many images there are.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }
}

/// Where [`load`] looks, in the order of the fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// The folder given with `--data-dir`: has to work.
    pub(crate) data_dir: Option<PathBuf>,
    /// The folder given with `MNIST_DIR`: has to work.
    pub(crate) mnist_dir: Option<PathBuf>,
    /// A folder that has to work if any of the files is in it.
    pub(crate) local: Option<PathBuf>,
    /// The folder where downloads are kept.
    pub(crate) cache: Option<PathBuf>,
    /// Addresses to which the files' names are appended; none to stay offline.
    pub(crate) mirrors: Vec<String>,
    /// The time limit for the whole download.
    pub(crate) patience: Duration,
}

impl Places {
    /// The places of this user on this machine.
    ///
    /// `NEURALODE_OFFLINE`, set to anything but nothing, switches downloading off.
    pub(crate) fn from_env(data_dir: Option<PathBuf>) -> Self {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        let mirrors: &[&str] = if set("NEURALODE_OFFLINE").is_some() {
            &[]
        } else {
            &download::MIRRORS
        };
        Self {
            data_dir,
            mnist_dir: set("MNIST_DIR").map(PathBuf::from),
            local: Some(Path::new("data").join("mnist")),
            cache: etcetera::choose_base_strategy()
                .ok()
                .map(|user| user.cache_dir().join("neuralode").join("mnist")),
            mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
            patience: download::PATIENCE,
        }
    }

    /// The folder that the user named, if any.
    fn named(&self) -> Option<(Named, &Path)> {
        let flag = self.data_dir.as_deref().map(|at| (Named::Flag, at));
        let variable = self.mnist_dir.as_deref().map(|at| (Named::Variable, at));
        let local = self.local.as_deref().filter(|at| idx::holds_any(at));
        flag.or(variable).or(local.map(|at| (Named::Local, at)))
    }
}

/// The first `wanted` training images.
///
/// # Errors
///
/// If a folder that the user named holds no usable files, or if there are fewer images.
pub(crate) fn load(places: &Places, wanted: usize) -> Result<DataSet, DataError> {
    let (training, origin) = if let Some((named, folder)) = places.named() {
        let training =
            idx::read_folder(folder, wanted).map_err(|fault| DataError::Folder { named, fault })?;
        let origin = if training.is_mnist {
            from_folder(folder)
        } else {
            Origin::Other {
                folder: folder.to_path_buf(),
            }
        };
        (training, origin)
    } else {
        match fetch(places) {
            Ok(found) => found,
            Err(reason) => return drawn(reason, wanted),
        }
    };
    enough(&origin, training.count, wanted)?;
    let (images, labels) = prefix::first(&training, wanted);
    Ok(DataSet {
        images,
        labels,
        origin,
    })
}

/// The images of last resort.
fn drawn(reason: String, wanted: usize) -> Result<DataSet, DataError> {
    let origin = Origin::Drawn { reason };
    enough(&origin, DRAWN_LIMIT, wanted)?;
    let (images, labels) = digits::draw(wanted, DRAWN_SEED);
    Ok(DataSet {
        images,
        labels,
        origin,
    })
}

/// Refuses to give fewer images than asked for.
fn enough(origin: &Origin, found: usize, wanted: usize) -> Result<(), DataError> {
    if found >= wanted {
        return Ok(());
    }
    Err(DataError::TooFew {
        place: origin.to_string(),
        found,
        wanted,
    })
}

/// MNIST from the cache or from the network, or the reason why from neither.
fn fetch(places: &Places) -> Result<(idx::Training, Origin), String> {
    let missing = match &places.cache {
        Some(cache) => match idx::read_mnist(cache) {
            Ok(training) => return Ok((training, from_folder(cache))),
            Err(fault) => fault.to_string(),
        },
        None => "this user has no cache folder".to_owned(),
    };
    if places.mirrors.is_empty() {
        return Err(format!(
            "{missing}, and downloading is switched off (NEURALODE_OFFLINE is set)"
        ));
    }
    // Nobody may be reading.
    let _ = writeln!(io::stderr(), "Downloading MNIST (10 MB) ...");
    let download = download::download(&places.mirrors, places.patience)
        .map_err(|reason| format!("{missing}, and the download failed ({reason})"))?;
    let origin = match places.cache.as_deref().map(|at| (at, download.keep(at))) {
        Some((cache, Ok(()))) => from_folder(cache),
        Some((cache, Err(error))) => {
            let _ = writeln!(
                io::stderr(),
                "The files could not be kept in `{}` ({error}); the next run downloads them again.",
                cache.display()
            );
            Origin::Mnist {
                place: download.mirror,
            }
        }
        None => Origin::Mnist {
            place: download.mirror,
        },
    };
    Ok((download.training, origin))
}

/// MNIST itself, found in a folder.
fn from_folder(folder: &Path) -> Origin {
    Origin::Mnist {
        place: format!("`{}`", folder.display()),
    }
}
