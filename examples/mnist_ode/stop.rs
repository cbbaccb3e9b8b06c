//! What ends a training before its last epoch, and how it then ends.

use std::{
    error::Error,
    fmt, process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use crate::{data::TEMPORARY, screen::complain};

/// The status of a program that SIGINT ended, as shells give it.
pub(crate) const INTERRUPTED: u8 = 130;

/// Whether a signal waits for the training to end after its current batch.
static ASKED: AtomicBool = AtomicBool::new(false);
/// Whether there is a training that looks.
static TRAINING: AtomicBool = AtomicBool::new(false);

/// Why a training ended before its last epoch.
#[derive(Debug)]
pub(crate) enum Stop {
    /// SIGINT, SIGTERM or SIGHUP, or Ctrl-C.
    Interrupted,
    /// Nobody reads the table any more, and there is no file.
    Unread,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupted => "the training was interrupted",
            Self::Unread => "nobody reads the results",
        })
    }
}

impl Error for Stop {}

/// From now on, a signal ends the program without temporary files: at once, but for a training, which ends after its
/// current batch and saves its finished epochs. A second signal does not wait for that.
pub(crate) fn listen() {
    let listening = ctrlc::set_handler(|| {
        if TRAINING.load(Relaxed) && !ASKED.swap(true, Relaxed) {
            return;
        }
        let _no_temporary_file = TEMPORARY.lock();
        process::exit(INTERRUPTED.into());
    });
    if let Err(error) = listening {
        complain!("warning: an interrupted training will lose its current epoch ({error})");
    }
}

/// Runs a training, which looks for signals with [`check`].
pub(crate) fn training<T>(train: impl FnOnce() -> T) -> T {
    TRAINING.store(true, Relaxed);
    let trained = train();
    TRAINING.store(false, Relaxed);
    trained
}

/// An error if a signal has come.
pub(crate) fn check() -> Result<(), Stop> {
    if ASKED.load(Relaxed) {
        return Err(Stop::Interrupted);
    }
    Ok(())
}
