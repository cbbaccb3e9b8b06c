//! Reads and checks the two training files of MNIST: IDX files, plain or packed with gzip.
//!
//! An IDX file is a header of big-endian 32-bit numbers (a magic number, the count, then the size
//! of one item) and one byte per value. The checks leave nothing to the parser behind them: the
//! `mnist` crate panics on a bad file. The test files (`t10k-...`) are neither needed nor read.

use super::error::Fault;
use flate2::read::MultiGzDecoder;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

/// Rows and columns of one image.
pub(crate) const SIDE: u32 = 28;
/// Bytes of one image.
pub(crate) const PIXELS: usize = (SIDE * SIDE) as usize;
/// Images of MNIST. Files of more are something else, of which no more is read than is wanted.
const ALL: u32 = 60_000;

/// What one of the files must look like.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The file's name when unpacked.
    pub(crate) name: &'static str,
    /// The first four bytes.
    pub(crate) magic: u32,
    /// Rows and columns follow the count.
    is_images: bool,
    /// SHA-256 of MNIST's file when unpacked. Packed copies differ from mirror to mirror.
    sha256: &'static str,
}

/// The training images.
pub(crate) const IMAGES: Kind = Kind {
    name: "train-images-idx3-ubyte",
    magic: 0x0803,
    is_images: true,
    sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
};

/// The training labels.
pub(crate) const LABELS: Kind = Kind {
    name: "train-labels-idx1-ubyte",
    magic: 0x0801,
    is_images: false,
    sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
};

impl Kind {
    /// Bytes before the first value.
    fn header(&self) -> usize {
        if self.is_images {
            16
        } else {
            8
        }
    }

    /// The name of the packed file.
    pub(crate) fn packed_name(&self) -> String {
        format!("{}.gz", self.name)
    }
}

/// The values of one checked file.
#[derive(Debug)]
pub(crate) struct Checked {
    values: Vec<u8>,
    /// Images, or labels, that its header promises.
    count: usize,
    /// `None` if not all of it was read.
    digest: Option<String>,
}

/// The training images and labels of a folder, checked.
#[derive(Debug)]
pub(crate) struct Training {
    /// How many there are. Of more than MNIST has, only those that are wanted were read.
    pub(crate) count: usize,
    /// [`PIXELS`] bytes per image.
    pub(crate) images: Vec<u8>,
    /// One digit per image.
    pub(crate) labels: Vec<u8>,
    /// Whether this is MNIST itself, byte for byte.
    pub(crate) is_mnist: bool,
}

impl Training {
    /// Puts two checked files together.
    pub(crate) fn new(folder: &Path, images: Checked, labels: Checked) -> Result<Self, Fault> {
        if images.count != labels.count {
            return Err(Fault::Counts {
                folder: folder.to_path_buf(),
                images: images.count,
                labels: labels.count,
            });
        }
        Ok(Self {
            count: images.count,
            is_mnist: images.digest.as_deref() == Some(IMAGES.sha256)
                && labels.digest.as_deref() == Some(LABELS.sha256),
            images: images.values,
            labels: labels.values,
        })
    }
}

/// Whether any of the files is in `folder`, whatever its state.
pub(crate) fn holds_any(folder: &Path) -> bool {
    [&IMAGES, &LABELS].into_iter().any(|kind| {
        folder.join(kind.name).symlink_metadata().is_ok()
            || folder.join(kind.packed_name()).symlink_metadata().is_ok()
    })
}

/// Reads the training files of a folder that the user named: whatever it holds must be right. Of files with more images
/// than MNIST, only the first `wanted` are read.
pub(crate) fn read_folder(folder: &Path, wanted: usize) -> Result<Training, Fault> {
    match fs::metadata(folder) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => {
            return Err(Fault::NotAFolder {
                folder: folder.to_path_buf(),
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Fault::NoFolder {
                folder: folder.to_path_buf(),
            })
        }
        Err(source) => {
            return Err(Fault::Unreadable {
                path: folder.to_path_buf(),
                source,
            })
        }
    }
    let read = |kind| match read_plain(folder, kind, wanted)? {
        Some(checked) => Ok(checked),
        None => read_packed(folder, kind, wanted),
    };
    // The labels first: they are small, and a missing or broken file shows at once.
    let labels = read(&LABELS)?;
    let images = read(&IMAGES)?;
    Training::new(folder, images, labels)
}

/// Reads MNIST itself from the cache: of each file, the copy that has the right digest.
pub(crate) fn read_mnist(folder: &Path) -> Result<Training, Fault> {
    let read = |kind: &Kind| {
        if let Ok(Some(checked)) = read_plain(folder, kind, 0) {
            if let Ok(checked) = checked.or_not_mnist(kind, &folder.join(kind.name)) {
                return Ok(checked);
            }
        }
        read_packed(folder, kind, 0)?.or_not_mnist(kind, &folder.join(kind.packed_name()))
    };
    let labels = read(&LABELS)?;
    let images = read(&IMAGES)?;
    Training::new(folder, images, labels)
}

/// Reads the unpacked file; `None` where there is none.
fn read_plain(folder: &Path, kind: &Kind, wanted: usize) -> Result<Option<Checked>, Fault> {
    let path = folder.join(kind.name);
    let Some(file) = open(&path)? else {
        return Ok(None);
    };
    let checked =
        check(kind, &path, BufReader::new(file), wanted).map_err(|fault| match fault {
            // Only a packed file can be broken as a gzip stream.
            Fault::Gzip { path, source } => Fault::Unreadable { path, source },
            other => other,
        })?;
    Ok(Some(checked))
}

/// Reads the file packed with gzip.
fn read_packed(folder: &Path, kind: &Kind, wanted: usize) -> Result<Checked, Fault> {
    let path = folder.join(kind.packed_name());
    match open(&path)? {
        Some(file) => check_packed(kind, &path, BufReader::new(file), wanted),
        None => Err(Fault::NoFile {
            folder: folder.to_path_buf(),
            name: kind.name,
        }),
    }
}

/// Opens a regular file; `None` where nothing has that name.
fn open(path: &Path) -> Result<Option<File>, Fault> {
    let unreadable = |source| Fault::Unreadable {
        path: path.to_path_buf(),
        source,
    };
    match fs::metadata(path) {
        // Opening a named pipe would wait for its other end for ever.
        Ok(meta) if !meta.is_file() => Err(Fault::NotAFile {
            path: path.to_path_buf(),
        }),
        Ok(_) => File::open(path).map(Some).map_err(unreadable),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(unreadable(source)),
    }
}

/// Unpacks and checks a file; `path` is what the errors name.
pub(crate) fn check_packed(
    kind: &Kind,
    path: &Path,
    packed: impl Read,
    wanted: usize,
) -> Result<Checked, Fault> {
    check(kind, path, MultiGzDecoder::new(packed), wanted)
}

/// Checks everything that a file alone can get wrong; of one with more images than MNIST, only what is wanted.
fn check(kind: &Kind, path: &Path, mut source: impl Read, wanted: usize) -> Result<Checked, Fault> {
    let path = || path.to_path_buf();
    let broken = |source| Fault::Gzip {
        path: path(),
        source,
    };
    let mut header = Vec::new();
    let size = kind.header();
    source
        .by_ref()
        .take(size as u64)
        .read_to_end(&mut header)
        .map_err(broken)?;
    if header.len() < size {
        return Err(Fault::Header {
            path: path(),
            found: header.len(),
            expected: size,
        });
    }
    let mut numbers = header
        .chunks_exact(4)
        .map(|four| four.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)));
    let mut number = || numbers.next().unwrap_or_default();
    let (magic, count) = (number(), number());
    if magic != kind.magic {
        return Err(Fault::Magic {
            path: path(),
            found: magic,
            expected: kind.magic,
        });
    }
    let mut item = 1;
    if kind.is_images {
        let (rows, cols) = (number(), number());
        if (rows, cols) != (SIDE, SIDE) {
            return Err(Fault::Shape {
                path: path(),
                rows,
                cols,
            });
        }
        item = PIXELS as u64;
    }

    let is_whole = count <= ALL;
    let needed = match u32::try_from(wanted) {
        _ if is_whole => count,
        Ok(wanted) if wanted <= count => wanted,
        // There are too few anyhow.
        _ => 0,
    };
    let needed = u64::from(needed) * item;
    // One byte more than promised tells a trailing byte, and reading to the end is what makes the
    // gzip decoder compare its checksum.
    let mut values = Vec::new();
    source
        .take(needed + u64::from(is_whole))
        .read_to_end(&mut values)
        .map_err(broken)?;
    let expected = u64::from(count) * item + size as u64;
    let found = values.len() as u64;
    if found < needed {
        return Err(Fault::Truncated {
            path: path(),
            found: found + size as u64,
            expected,
        });
    }
    if found > needed {
        return Err(Fault::Trailing {
            path: path(),
            expected,
        });
    }
    if !kind.is_images {
        if let Some(position) = values.iter().position(|&label| label > 9) {
            return Err(Fault::Label {
                path: path(),
                position,
                value: values[position],
            });
        }
    }
    let digest = is_whole.then(|| {
        let sum = Sha256::new().chain_update(&header).chain_update(&values);
        hexadecimal(&sum.finalize())
    });
    Ok(Checked {
        count: count as usize,
        values,
        digest,
    })
}

/// Two digits per byte.
fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

impl Checked {
    /// The file again, if it is the one of MNIST.
    pub(crate) fn or_not_mnist(self, kind: &Kind, path: &Path) -> Result<Self, Fault> {
        let found = match &self.digest {
            Some(digest) if digest == kind.sha256 => return Ok(self),
            Some(digest) => format!("its unpacked content has SHA-256 {digest}"),
            None => format!("it promises {} images", self.count),
        };
        Err(Fault::Digest {
            path: path.to_path_buf(),
            found,
            expected: kind.sha256,
        })
    }
}
