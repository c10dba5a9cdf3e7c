//! Execution of a program, which inherits nothing of the caller's by accident
//! (`man 2 execve`).

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{SigHandler, SigSet, Signal};

/// Executes a program under the name `words[0]`, with the descriptors below
/// `descriptors`; returns only if that fails. All others are closed before, but for
/// `connection`, a socket, which goes with the execution.
pub(crate) fn exec_as(
    program: &Path,
    words: &[impl AsRef<OsStr>],
    environment: &[(String, String)],
    descriptors: i32,
    connection: BorrowedFd<'_>,
) -> io::Error {
    let assignments = environment
        .iter()
        .map(|(key, value)| format!("{key}={value}"));
    let (program, words, environment) = match (
        CString::new(program.as_os_str().as_bytes()),
        words
            .iter()
            .map(|word| CString::new(word.as_ref().as_bytes()))
            .collect::<Result<Vec<_>, _>>(),
        assignments.map(CString::new).collect::<Result<Vec<_>, _>>(),
    ) {
        (Ok(program), Ok(words), Ok(environment)) => (program, words, environment),
        (Err(error), _, _) | (_, Err(error), _) | (_, _, Err(error)) => return error.into(),
    };
    close_all_but(descriptors, connection);
    match nix::unistd::execve(&program, &words, &environment) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Executes a program with the environment of this one; returns only if that fails.
pub(crate) fn exec_again(program: &Path, words: &[impl AsRef<OsStr>]) -> io::Error {
    let words = words
        .iter()
        .map(|word| CString::new(word.as_ref().as_bytes()))
        .collect::<Result<Vec<_>, _>>();
    match (CString::new(program.as_os_str().as_bytes()), words) {
        (Ok(program), Ok(words)) => match nix::unistd::execv(&program, &words) {
            Ok(never) => match never {},
            Err(errno) => errno.into(),
        },
        (Err(error), _) | (_, Err(error)) => error.into(),
    }
}

/// The number of standard streams, and of the first descriptor behind them.
pub(crate) const STREAMS: i32 = 3;

/// Closes all descriptors but those below `first` and `connection`, a socket.
///
/// A path inside can lead through `/proc/self/fd`: through an open directory of the
/// host's, it would lead out. So this comes before the first path of the container's
/// that is not resolved in its root.
pub(crate) fn close_all_but(first: i32, connection: BorrowedFd<'_>) {
    let kept = connection.as_raw_fd();
    for (first, last) in [(first, kept - 1), (kept + 1, i32::MAX)] {
        if first <= last {
            // SAFETY: the process executes a program next, or reports an error by the
            // connection and ends: the owners of the others are not used again.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

/// Makes the calling process take and ignore signals as a new one does. Ignored
/// signals stay ignored through execve (`man 2 execve`), and a Rust program ignores
/// SIGPIPE from its start.
pub(crate) fn reset_signals() -> io::Result<()> {
    for signal in Signal::iterator() {
        if !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP) {
            // SAFETY: takes a handler away and installs none.
            unsafe { nix::sys::signal::signal(signal, SigHandler::SigDfl) }?;
        }
    }
    Ok(SigSet::empty().thread_set_mask()?)
}
