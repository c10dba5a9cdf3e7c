//! The child's standard streams.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::pipe::PipeFlags;

use super::mount::mount_point;
use crate::process::pty::Pty;
use crate::rootfs::Root;
use crate::rootfs::mount;

/// The terminal that a system writes to and offers a login at (Container
/// Interface).
const CONSOLE: &str = "/dev/console";

/// Makes a new terminal `/dev/console`; returns its other end.
pub(super) fn make_console(container: &Root) -> io::Result<OwnedFd> {
    let pty = Pty::open(container)?;
    let console = mount_point(container, pty.terminal.as_fd(), Path::new(CONSOLE))?;
    let terminal = mount::clone_tree(pty.terminal.as_fd(), false)?;
    mount::attach(terminal.as_fd(), console.as_fd())?;
    Ok(pty.main)
}

/// Makes the console the standard streams.
pub(super) fn open_console(container: &Root) -> io::Result<()> {
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let terminal = container.open_at(Path::new(CONSOLE), flags, Mode::empty())?;
    use_as_streams(&terminal, &terminal)
}

/// Makes standard input empty, and the other streams a pipe; returns its other
/// end.
pub(super) fn open_pipe(container: &Root) -> io::Result<OwnedFd> {
    let nothing = container.open_at(Path::new("/dev/null"), OFlags::RDONLY, Mode::empty())?;
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    use_as_streams(&nothing, &write)?;
    Ok(read)
}

fn use_as_streams(input: &OwnedFd, output: &OwnedFd) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::stdio::dup2_stdin(input)?;
    rustix::stdio::dup2_stdout(output)?;
    Ok(rustix::stdio::dup2_stderr(output)?)
}

/// Gives a descriptor that the process has from its supervisor another number, under
/// which the program gets it.
pub(super) fn pass_socket(descriptor: i32, number: i32) -> io::Result<()> {
    let answer = if descriptor == number {
        // SAFETY: changes a flag of a descriptor.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) }
    } else {
        // SAFETY: `handshake.rs` keeps the connection to the supervisor behind this
        // number, and this is the last step before the program is executed: no other
        // owner uses its descriptor after it.
        unsafe { libc::dup2(descriptor, number) }
    };
    nix::errno::Errno::result(answer)?;
    Ok(())
}
