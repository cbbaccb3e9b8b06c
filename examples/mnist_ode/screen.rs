//! Lines for a person who may have stopped reading: a closed or full output ends the table, not the training.

use std::{
    fmt, io,
    io::{ErrorKind, Write},
    sync::OnceLock,
};

/// What the system said when standard output failed; nothing is written to it from then on.
static FAILED: OnceLock<io::Error> = OnceLock::new();

/// Prints a line on standard output.
pub(crate) fn print(line: fmt::Arguments<'_>) {
    if FAILED.get().is_some() {
        return;
    }
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        if error.kind() != ErrorKind::BrokenPipe {
            print_error(format_args!(
                "warning: standard output cannot be written ({error}), and the training goes on without it"
            ));
        }
        let _ = FAILED.set(error);
    }
}

/// Prints a line on standard error, if that can be written.
pub(crate) fn print_error(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether the reader of standard output has gone.
pub(crate) fn is_unread() -> bool {
    matches!(FAILED.get(), Some(error) if error.kind() == ErrorKind::BrokenPipe)
}

/// What was printed, or why it is lost. A reader that has gone wanted no more.
pub(crate) fn check() -> Result<(), String> {
    match FAILED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!(
            "standard output could not be written ({error}): the results are lost; use --json FILE"
        )),
        _ => Ok(()),
    }
}

/// `println!` that does not panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::screen::print(format_args!($($text)*)) };
}

/// `eprintln!` that does not panic.
macro_rules! complain {
    ($($text:tt)*) => { $crate::screen::print_error(format_args!($($text)*)) };
}

pub(crate) use {complain, say};
