//! A file that is replaced in one step.

use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
};

use crate::files::error::{Action, FileError};

/// Writes `bytes` to the file `path`, in place of an earlier one, in one step.
///
/// They go to a temporary file in the same folder, which takes the file's name when it is on the disk. So a usable file
/// stays, the earlier one or the new one, wherever the program or a write fails.
///
/// # Errors
/// [`FileError::NotAFile`] for a folder, a pipe or a device, and [`FileError::Io`] with what the system says.
///
/// # Examples
/// ```
/// use neuralode_runtime::files;
///
/// let folder = tempfile::tempdir()?;
/// let losses = folder.path().join("losses.json");
/// files::write(&losses, "[0.7]")?;
/// files::write(&losses, "[0.7, 0.5]")?;
/// assert_eq!(std::fs::read_to_string(losses)?, "[0.7, 0.5]");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> Result<(), FileError> {
    replace(path.as_ref(), |file| file.write_all(bytes.as_ref()))
}

/// Replaces the file `path` by what `fill` writes.
fn replace(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let failed = FileError::io(Action::Write, path);
    let (target, earlier) = target(path)?;
    let folder = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = temporary(folder, earlier).map_err(&failed)?;
    fill(temporary.as_file_mut()).map_err(&failed)?;
    temporary.as_file().sync_all().map_err(&failed)?;
    // A temporary file that is dropped before it has the file's name is removed.
    temporary
        .persist(&target)
        .map_err(|error| failed(error.error))?;
    settle(folder).map_err(FileError::io(Action::Settle, path))
}

/// The file behind all links, and the permissions of what is there already.
fn target(path: &Path) -> Result<(PathBuf, Option<Permissions>), FileError> {
    let failed = FileError::io(Action::Write, path);
    if fs::symlink_metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok((path.to_owned(), None));
    }
    let target = fs::canonicalize(path).map_err(&failed)?;
    let found = fs::metadata(&target).map_err(&failed)?;
    if !found.is_file() {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
        });
    }
    // A name can be taken from a file that may not be written: ask.
    OpenOptions::new()
        .write(true)
        .open(&target)
        .map_err(&failed)?;
    Ok((target, Some(found.permissions())))
}

/// A new file in `folder` with the permissions of the earlier one, or else with those that new files have.
fn temporary(folder: &Path, earlier: Option<Permissions>) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".neuralode-").suffix(".tmp");
    #[cfg(unix)]
    if earlier.is_none() {
        use std::os::unix::fs::PermissionsExt;
        // The system takes those of the process's mask away.
        builder.permissions(Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder)?;
    if let Some(permissions) = earlier {
        file.as_file().set_permissions(permissions)?;
    }
    Ok(file)
}

/// Makes sure that a new name in `folder` is on the disk, where the system has a way to.
fn settle(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // A folder that may be written but not read, or a file system without this.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::InvalidInput | ErrorKind::PermissionDenied | ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        settled => settled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of which so many bytes fit on the disk.
    struct Disk<'f> {
        file: &'f mut dyn Write,
        room: usize,
    }

    impl Write for Disk<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            let written = self.file.write(&bytes[..bytes.len().min(self.room)])?;
            self.room -= written;
            Ok(written)
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_disk_that_is_full_at_any_byte_leaves_the_earlier_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (earlier, later) = (b"earlier".as_slice(), b"what comes later".as_slice());
        for first in [true, false] {
            if !first {
                write(&path, earlier).unwrap();
            }
            for room in 0..=later.len() {
                let saved = replace(&path, |file| {
                    let mut disk = Disk { file, room };
                    // Byte by byte as well as at once.
                    let (head, tail) = later.split_at(room / 2);
                    head.iter().try_for_each(|&byte| disk.write_all(&[byte]))?;
                    disk.write_all(tail)
                });
                if room == later.len() {
                    saved.unwrap();
                    assert_eq!(fs::read(&path).unwrap(), later);
                    continue;
                }
                let error = saved.unwrap_err();
                let FileError::Io { action, source, .. } = &error else {
                    panic!("{error}");
                };
                assert_eq!(*action, Action::Write);
                assert_eq!(source.kind(), ErrorKind::StorageFull);
                if first {
                    assert!(names(folder.path()).is_empty(), "{room}");
                } else {
                    assert_eq!(fs::read(&path).unwrap(), earlier, "{room}");
                    assert_eq!(names(folder.path()), ["file"], "{room}");
                }
            }
            assert_eq!(names(folder.path()), ["file"]);
        }
    }

    #[test]
    fn a_program_that_panics_on_the_way_leaves_the_earlier_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, "earlier").unwrap();
        let panicked = std::panic::catch_unwind(|| {
            replace(&path, |file| {
                file.write_all(b"later")?;
                panic!("on the way");
            })
        });
        assert!(panicked.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"earlier");
        assert_eq!(names(folder.path()), ["file"]);
    }
}
