//! What can be wrong with a folder of MNIST files, in words a person can act on.

use std::error::Error;
use std::fmt::{self, Display, Formatter};
use std::io;
use std::path::PathBuf;

/// What is wrong with one file or folder, without saying who asked for it.
#[derive(Debug)]
pub(crate) enum Fault {
    /// There is no such folder.
    NoFolder { folder: PathBuf },
    /// Something else than a folder has the folder's name.
    NotAFolder { folder: PathBuf },
    /// Neither the unpacked nor the packed file is there.
    NoFile { folder: PathBuf, name: &'static str },
    /// A folder, a pipe or a device has the file's name.
    NotAFile { path: PathBuf },
    /// The system refused to read it.
    Unreadable { path: PathBuf, source: io::Error },
    /// The gzip stream ends early or fails its own checksum.
    Gzip { path: PathBuf, source: io::Error },
    /// Too short to hold even the header.
    Header {
        path: PathBuf,
        found: usize,
        expected: usize,
    },
    /// The first four bytes say that it is another kind of file.
    Magic {
        path: PathBuf,
        found: u32,
        expected: u32,
    },
    /// The images have another size.
    Shape { path: PathBuf, rows: u32, cols: u32 },
    /// Fewer bytes than the header promises.
    Truncated {
        path: PathBuf,
        found: u64,
        expected: u64,
    },
    /// More bytes than the header promises.
    Trailing { path: PathBuf, expected: u64 },
    /// A label that is no digit.
    Label {
        path: PathBuf,
        position: usize,
        value: u8,
    },
    /// As many images as labels are needed.
    Counts {
        folder: PathBuf,
        images: usize,
        labels: usize,
    },
    /// A well-formed file, but not the one of MNIST.
    Digest {
        path: PathBuf,
        found: String,
        expected: &'static str,
    },
}

impl Display for Fault {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFolder { folder } => write!(f, "there is no folder `{}`", folder.display()),
            Self::NotAFolder { folder } => write!(
                f,
                "`{}` is not a folder; expected the folder that holds the MNIST files",
                folder.display()
            ),
            Self::NoFile { folder, name } => write!(
                f,
                "`{}` holds neither `{name}` nor `{name}.gz`",
                folder.display()
            ),
            Self::NotAFile { path } => write!(
                f,
                "`{}` is not a regular file; expected an MNIST file",
                path.display()
            ),
            Self::Unreadable { path, source } => {
                write!(f, "`{}` cannot be read: {source}", path.display())
            }
            Self::Gzip { path, source } => write!(
                f,
                "`{}` is not a complete gzip file ({source}): it was cut short or damaged",
                path.display()
            ),
            Self::Header {
                path,
                found,
                expected,
            } => write!(
                f,
                "`{}` holds {found} bytes; expected at least the {expected} bytes of its header",
                path.display()
            ),
            Self::Magic {
                path,
                found,
                expected,
            } => write!(
                f,
                "`{}` starts with the number {found:#010x}; expected {expected:#010x}, so it is \
                 another kind of file",
                path.display()
            ),
            Self::Shape { path, rows, cols } => write!(
                f,
                "`{}` holds images of {rows} by {cols} pixels; expected 28 by 28",
                path.display()
            ),
            Self::Truncated {
                path,
                found,
                expected,
            } => write!(
                f,
                "`{}` ends after {found} bytes; expected the {expected} bytes its header promises",
                path.display()
            ),
            Self::Trailing { path, expected } => write!(
                f,
                "`{}` goes on after the {expected} bytes its header promises; expected its end",
                path.display()
            ),
            Self::Label {
                path,
                position,
                value,
            } => write!(
                f,
                "`{}` gives label {value} to image {position}; expected 0 to 9",
                path.display()
            ),
            Self::Counts {
                folder,
                images,
                labels,
            } => write!(
                f,
                "`{}` holds {images} images but {labels} labels; expected one label per image",
                folder.display()
            ),
            Self::Digest {
                path,
                found,
                expected,
            } => write!(
                f,
                "`{}` is not the file of MNIST: {found}; expected content with SHA-256 {expected}",
                path.display()
            ),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } | Self::Gzip { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// How the user named a folder; it decides what the advice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    /// `--data-dir`.
    Flag,
    /// The environment variable `MNIST_DIR`.
    Variable,
    /// By being `data/mnist` in the current directory.
    Local,
}

/// Why [`load`](super::load) gives no images.
///
/// Only what the user asked for can fail: the cache, the download and a missing network lead to
/// drawn digits instead.
#[derive(Debug)]
pub(crate) enum DataError {
    /// A folder that the user named does not hold usable files.
    Folder { named: Named, fault: Fault },
    /// The files are fine, but hold fewer images than asked for.
    TooFew {
        place: String,
        found: usize,
        wanted: usize,
    },
}

impl Display for DataError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder { named, fault } => match named {
                Named::Flag => write!(
                    f,
                    "--data-dir: {fault}. Put the training files of MNIST there \
                     (train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz), \
                     or leave out --data-dir to have them downloaded"
                ),
                Named::Variable => write!(
                    f,
                    "MNIST_DIR: {fault}. Put the training files of MNIST there \
                     (train-images-idx3-ubyte and train-labels-idx1-ubyte, with or without .gz), \
                     or unset MNIST_DIR to have them downloaded"
                ),
                Named::Local => write!(
                    f,
                    "{fault}. Replace it by the original file, or delete the folder `data/mnist` \
                     and run again to have MNIST downloaded"
                ),
            },
            Self::TooFew {
                place,
                found,
                wanted,
            } => write!(
                f,
                "{wanted} images are wanted, but there are {found} ({place}). Ask for at most \
                 {found}, or name the folder of a larger data set"
            ),
        }
    }
}

impl Error for DataError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Folder { fault, .. } => Some(fault),
            Self::TooFew { .. } => None,
        }
    }
}
