//! Session keyrings (`man 7 session-keyring`).

use std::io;

use nix::errno::Errno;

/// `KEYCTL_JOIN_SESSION_KEYRING` of `linux/keyctl.h`.
const JOIN_SESSION_KEYRING: libc::c_ulong = 1;

/// Gives the calling process an empty session keyring that no other process can
/// join by its name.
///
/// # Errors
///
/// The kernel's (`man 2 keyctl`). Without keyrings in the kernel, or where the
/// filter of another container manager refuses the call, there is no keyring to
/// leave: that is no error.
pub fn join_session_keyring() -> io::Result<()> {
    let nameless = std::ptr::null::<libc::c_char>();
    // SAFETY: without a name, no memory is passed.
    let answer = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, nameless) };
    match Errno::result(answer) {
        Ok(_) | Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `KEYCTL_GET_KEYRING_ID` and `KEY_SPEC_SESSION_KEYRING` of
    /// `linux/keyctl.h`: the serial number of the session keyring.
    fn session_keyring() -> libc::c_long {
        const GET_KEYRING_ID: libc::c_ulong = 0;
        const SESSION_KEYRING: libc::c_long = -3;
        // SAFETY: takes numbers only.
        unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 1) }
    }

    #[test]
    fn a_session_keyring_is_left() {
        let before = session_keyring();
        if before < 0 {
            println!("skipped: {}", io::Error::last_os_error());
            return;
        }
        // Keyrings are a thread's.
        let thread = std::thread::spawn(|| join_session_keyring().map(|()| session_keyring()));
        let joined = thread.join().expect("no panic").expect("a keyring");
        assert!(joined > 0 && joined != before, "{before}, {joined}");
    }
}
