//! What can go wrong with a file of parameters.

use core::fmt;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What was done with a file when the system refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Reading it.
    Read,
    /// Writing it, up to the step that puts it in place.
    Write,
    /// Making sure that its name is on the disk; it is in place.
    Settle,
}

/// Why a file was not saved or not loaded.
///
/// A file that was not saved is what it was before, and a model into which nothing was loaded as well.
#[derive(Debug)]
#[non_exhaustive]
pub enum FileError {
    /// The system failed.
    Io {
        /// What was done with the file.
        action: Action,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A folder, a pipe or a device in place of the file.
    NotAFile {
        /// What stands there.
        path: PathBuf,
    },
    /// A file that is no safetensors file, or not all of one.
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found, and what was expected.
        reason: String,
    },
    /// Tensors of other names than those of the model.
    Names {
        /// The file.
        path: PathBuf,
        /// Tensors of the model that the file lacks.
        missing: Vec<String>,
        /// Tensors of the file that the model lacks.
        unknown: Vec<String>,
    },
    /// Numbers of another type than those of the model.
    Dtype {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// Its dtype in the file.
        found: String,
        /// Its dtype in the model.
        expected: String,
    },
    /// A tensor of another shape than in the model.
    Shape {
        /// The file.
        path: PathBuf,
        /// The first such tensor.
        tensor: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape in the model.
        expected: Vec<usize>,
    },
    /// A number that its type in the model, or in the file, does not hold.
    Scalar {
        /// The file.
        path: PathBuf,
        /// Its name.
        name: String,
        /// The number in the file, if it is one there.
        found: Option<f64>,
        /// The type that does not hold it.
        expected: &'static str,
    },
    /// Two parameters of the model under one name.
    SameName {
        /// The file that was to be saved.
        path: PathBuf,
        /// The name.
        tensor: String,
    },
}

impl FileError {
    /// Wraps what the system says about `path`; made for `map_err`.
    pub(super) fn io(action: Action, path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path: path.clone(),
            source,
        }
    }
}

/// The first names of a list, and how many more there are.
struct Some3<'n>(&'n [String]);

impl fmt::Display for Some3<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().take(3).enumerate() {
            write!(f, "{}`{name}`", if index == 0 { "" } else { ", " })?;
        }
        match self.0.len().saturating_sub(3) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io {
                action: Action::Read,
                path,
                source,
            } => write!(f, "`{}` cannot be read: {source}", path.display()),
            Self::Io {
                action: Action::Write,
                path,
                source,
            } => write!(
                f,
                "`{}` could not be written ({source}); what was there before is unchanged: name a file in a folder \
                 that exists, may be written and has room",
                path.display()
            ),
            Self::Io {
                action: Action::Settle,
                path,
                source,
            } => write!(
                f,
                "`{}` was written, but its folder could not be synchronised ({source}): should the machine stop now, \
                 the earlier file may come back; save again",
                path.display()
            ),
            Self::NotAFile { path } => write!(
                f,
                "`{}` is a folder, a pipe or a device: name a file",
                path.display()
            ),
            Self::Damaged { path, reason } => write!(
                f,
                "`{}` is no complete safetensors file: {reason}; take another copy of it",
                path.display()
            ),
            Self::Names {
                path,
                missing,
                unknown,
            } => {
                write!(f, "`{}` holds the parameters of another model: ", path.display())?;
                if !missing.is_empty() {
                    write!(f, "the model has {}, which the file lacks", Some3(missing))?;
                }
                if !unknown.is_empty() {
                    let and = if missing.is_empty() { "" } else { ", and " };
                    write!(f, "{and}the file has {}, which the model lacks", Some3(unknown))?;
                }
                f.write_str(
                    "; load it into a model with the stages and layers of the one that was saved",
                )
            }
            Self::Dtype {
                path,
                tensor,
                found,
                expected,
            } => write!(
                f,
                "`{}` holds `{tensor}` as {found}, but the model has {expected}: load it into a model of {found}, and \
                 convert that with `to_dtype`",
                path.display()
            ),
            Self::Shape {
                path,
                tensor,
                found,
                expected,
            } => write!(
                f,
                "`{}` holds `{tensor}` of shape {found:?}, but the model has {expected:?}: load it into a model with \
                 the sizes of the one that was saved",
                path.display()
            ),
            Self::Scalar {
                path,
                name,
                found,
                expected,
            } => {
                write!(f, "the number `{name}` of `{}`", path.display())?;
                if let Some(found) = found {
                    write!(f, ", {found:e},")?;
                }
                write!(f, " is no {expected}: give the model a number that is one")
            }
            Self::SameName { path, tensor } => write!(
                f,
                "two parameters of the model have the name `{tensor}`, so that `{}` was not written: give each a name \
                 of its own in `TensorCollection::iter_tensors`",
                path.display()
            ),
        }
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
