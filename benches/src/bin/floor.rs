//! The floor of the benchmark, the least that a container runtime does: new
//! namespaces, another root, one program.
//!
//!     floor ROOT PROGRAM [ARG…]
//!
//! It sets up no network, /proc, /dev, filter or cgroup, and drops no capability.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::{env, io};

use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind_recursive, mount_change, unmount,
};
use rustix::process::{Pid, WaitOptions, chdir, pivot_root, waitpid};

fn main() -> ExitCode {
    let mut words = env::args_os().skip(1);
    let (Some(root), Some(program)) = (words.next(), words.next()) else {
        eprintln!("usage: floor ROOT PROGRAM [ARG…]");
        return ExitCode::from(2);
    };
    let mut command = Command::new(program);
    command.args(words);

    match run(Path::new(&root), &mut command) {
        Ok(status) => match status.code() {
            Some(code) => ExitCode::from(code as u8),
            None => ExitCode::from(128 + status.signal().unwrap_or(0) as u8),
        },
        Err(error) => {
            eprintln!("error: floor: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, command: &mut Command) -> io::Result<ExitStatus> {
    match clone_into_new_namespaces()? {
        Some(child) => wait_for(child),
        None => {
            enter_root(root)?;
            Err(command.exec())
        }
    }
}

/// Like fork(2): returns the child's id in the parent, `None` in the child.
fn clone_into_new_namespaces() -> io::Result<Option<Pid>> {
    let flags = libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWCGROUP;
    // SAFETY: an all-zero clone_args is valid: every field is a number, and
    // zero means "not asked for" (clone(2)).
    let mut arguments: libc::clone_args = unsafe { std::mem::zeroed() };
    arguments.flags = flags as u64;
    arguments.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: the pointer and size are those of a live clone_args. Without
    // CLONE_VM and a stack the child goes on here with a copy of the memory,
    // and the only thread of this process is the one that it has.
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of_val(&arguments),
        )
    };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(child as i32))
}

/// The second example of pivot_root(2): the old root is stacked on the new one
/// and unmounted from there.
fn enter_root(root: &Path) -> io::Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    mount_bind_recursive(root, root)?;
    chdir(root)?;
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(())
}

fn wait_for(child: Pid) -> io::Result<ExitStatus> {
    let (_, status) = waitpid(Some(child), WaitOptions::empty())?
        .ok_or_else(|| io::Error::other("the child is gone without a status"))?;
    Ok(ExitStatus::from_raw(status.as_raw()))
}
