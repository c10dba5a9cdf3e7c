//! The socket to which a container's init reports its state (`man 3 sd_notify`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, socket_with};

use super::untrusted_socket::{Closers, UntrustedSocket};

/// A datagram socket in reach of every process inside. Its messages carry their sender.
#[derive(Debug)]
pub struct NotifySocket(UntrustedSocket);

/// The parts of init's message that are used here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notification {
    /// The system has booted.
    pub ready: bool,
    /// Its present activity, in its own words, which may contain control characters.
    pub status: Option<String>,
}

/// Longest message that systemd itself accepts (`NOTIFY_BUFFER_MAX`), in bytes.
const LONGEST_MESSAGE: usize = 4096;

impl NotifySocket {
    /// Binds the socket at `path`, which must not exist.
    pub fn bind(path: &Path, closers: &Closers) -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        let socket = UntrustedSocket::new(socket, closers)?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(socket))
    }

    /// The next message, if it comes from init, by a pid of the caller's namespace.
    /// Any process inside can write to the socket, but only init speaks for the
    /// system. One message at a time, so that a process that writes without end
    /// does not keep the caller busy. A message with descriptors does not count.
    pub fn receive(&self, is_init: impl Fn(i32) -> bool) -> io::Result<Option<Notification>> {
        let mut message = [0; LONGEST_MESSAGE];
        let received = match self.0.receive(&mut message) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            answer => answer?,
        };
        let of_init = received.filter(|received| is_init(received.sender));
        Ok(of_init.map(|received| parse(&message[..received.length])))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn parse(message: &[u8]) -> Notification {
    let mut notification = Notification::default();
    for line in String::from_utf8_lossy(message).lines() {
        match line.split_once('=') {
            Some(("READY", "1")) => notification.ready = true,
            Some(("STATUS", status)) => notification.status = Some(status.to_owned()),
            _ => {}
        }
    }
    notification
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use rustix::net::SendFlags;

    use super::*;

    #[test]
    fn a_message_has_one_assignment_a_line() {
        let message = parse(b"X_SYSTEMD_UNIT_ACTIVE=basic.target\nSTATUS=Up\x1b[2J\nREADY=1");
        assert!(message.ready);
        assert_eq!(message.status.as_deref(), Some("Up\x1b[2J"));
    }

    /// A socket, and one whose messages it gets. The directory has to live.
    fn connected() -> (tempfile::TempDir, NotifySocket, OwnedFd) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let socket = NotifySocket::bind(&path, &Closers::default()).expect("a socket");
        let sender = socket_with(
            AddressFamily::UNIX,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            None,
        );
        let sender = sender.expect("a socket");
        let address = SocketAddrUnix::new(&path).expect("a short path");
        rustix::net::connect(&sender, &address).expect("it is bound");
        (directory, socket, sender)
    }

    fn own_pid() -> i32 {
        std::process::id().cast_signed()
    }

    #[test]
    fn only_messages_of_init_count() {
        let (_directory, socket, sender) = connected();
        for init in [own_pid(), own_pid() + 1] {
            rustix::net::send(&sender, b"READY=1", SendFlags::empty()).expect("it is sent");
            let heard = socket.receive(|pid| pid == init).expect("readable");
            assert_eq!(heard.is_some_and(|heard| heard.ready), init == own_pid());
        }
    }

    #[test]
    fn one_message_is_received_at_a_time() {
        let (_directory, socket, sender) = connected();
        for _ in 0..2 {
            rustix::net::send(&sender, b"READY=1", SendFlags::empty()).expect("it is sent");
        }
        assert_eq!(
            socket
                .receive(|pid| pid == own_pid() + 1)
                .expect("readable"),
            None
        );
        let second = socket.receive(|pid| pid == own_pid()).expect("readable");
        assert!(second.is_some(), "it was left for the next turn");
    }

    #[test]
    fn only_ready_1_means_ready() {
        for message in [
            &b"READY=0"[..],
            b"READY=1x",
            b"XREADY=1",
            b"READY",
            b"\xff\xfe",
        ] {
            assert!(!parse(message).ready, "{message:?}");
        }
    }
}
