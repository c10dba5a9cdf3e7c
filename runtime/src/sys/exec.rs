//! Execution of a program, which inherits nothing of the caller's by accident
//! (`man 2 execve`).

use std::ffi::{CString, OsStr};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{SigHandler, SigSet, Signal};

/// Executes a program under the name `words[0]`; returns only if that fails.
pub(crate) fn exec_as(
    program: &Path,
    words: &[impl AsRef<OsStr>],
    environment: &[(String, String)],
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
    close_on_exec_from(3);
    match nix::unistd::execve(&program, &words, &environment) {
        Ok(never) => match never {},
        Err(errno) => errno.into(),
    }
}

/// Keeps descriptors from the program that a library has opened without CLOEXEC.
fn close_on_exec_from(first: libc::c_uint) {
    // SAFETY: marks descriptors, closes none; an error (impossible for this
    // range) leaves them as they are.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
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
