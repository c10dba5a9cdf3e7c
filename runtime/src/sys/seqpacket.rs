//! Messages on Unix sockets, with descriptors (`man 7 unix`, `SCM_RIGHTS`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};

/// Most descriptors that the kernel lets a message carry (`SCM_MAX_FD` of its
/// `net/scm.h`).
const MOST_DESCRIPTORS: usize = 253;

/// What came with a message.
#[derive(Debug)]
pub struct Received {
    /// Length of the message in bytes; 0 when the other end is closed.
    pub length: usize,
    /// The descriptors, all closed on exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Both ends of a connection.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SocketFlags::CLOEXEC;
    Ok(socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        flags,
        None,
    )?)
}

/// Sends a message whole. A closed connection is an error and not a signal.
///
/// # Errors
///
/// The kernel's, `EPIPE` and `ECONNRESET` for a closed connection among them.
pub fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Errno::TOOMANYREFS.into());
    }
    let flags = flags | SendFlags::NOSIGNAL;
    sendmsg(socket, &[IoSlice::new(message)], &mut ancillary, flags)?;
    Ok(())
}

/// Receives a message of a trusted sender into `buffer`; what does not fit is lost.
/// Messages of others are received by an
/// [`UntrustedSocket`](super::untrusted_socket::UntrustedSocket).
///
/// # Errors
///
/// The kernel's; of [`io::ErrorKind::WouldBlock`] if the socket, or `flags`, does
/// not wait and no message is there.
pub fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<Received> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let length = loop {
        let mut buffers = [IoSliceMut::new(buffer)];
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        match recvmsg(socket, &mut buffers, &mut ancillary, flags) {
            Ok(received) => break received.bytes,
            // Reset: the other end has closed without reading all messages to it.
            // That is reported before its own messages, which are still there.
            Err(Errno::INTR | Errno::CONNRESET) => {}
            Err(errno) => return Err(errno.into()),
        }
    };
    let mut received = Received {
        length,
        descriptors: Vec::new(),
    };
    // To the end: rustix takes the rest of an unfinished drain for descriptors and
    // closes them, at a wrong alignment.
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            received.descriptors.extend(descriptors);
        }
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn received(socket: &OwnedFd) -> (Vec<u8>, usize) {
        let mut buffer = [0; 16];
        let received = receive(socket.as_fd(), &mut buffer, RecvFlags::DONTWAIT);
        let received = received.expect("a message");
        (buffer[..received.length].into(), received.descriptors.len())
    }

    #[test]
    fn messages_arrive_apart_with_their_descriptors_until_the_end() {
        let (one, other) = pair().expect("sockets");
        let none = receive(one.as_fd(), &mut [0; 1], RecvFlags::DONTWAIT);
        let none = none.expect_err("no message yet").kind();
        assert_eq!(none, io::ErrorKind::WouldBlock);
        for descriptors in [0, 1, 3] {
            let files = vec![one.as_fd(); descriptors];
            send(other.as_fd(), b"here", &files, SendFlags::empty()).expect("connected");
        }
        // Never read, so that the connection is reset.
        send(one.as_fd(), b"unread", &[], SendFlags::empty()).expect("connected");
        drop(other);
        for descriptors in [0, 1, 3] {
            assert_eq!(received(&one), (b"here".into(), descriptors));
        }
        assert_eq!(received(&one), (Vec::new(), 0));
        let closed = send(one.as_fd(), b"late", &[], SendFlags::empty());
        let closed = closed.expect_err("closed").kind();
        assert_eq!(closed, io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn more_descriptors_than_the_kernel_passes_are_an_error() {
        let (one, other) = pair().expect("sockets");
        let files = vec![one.as_fd(); MOST_DESCRIPTORS + 1];
        assert!(send(one.as_fd(), b"many", &files, SendFlags::empty()).is_err());
        let files = &files[..MOST_DESCRIPTORS];
        send(one.as_fd(), b"most", files, SendFlags::empty()).expect("connected");
        assert_eq!(received(&other), (b"most".into(), MOST_DESCRIPTORS));
    }
}
