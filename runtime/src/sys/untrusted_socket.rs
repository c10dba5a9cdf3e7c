//! Unix sockets to which untrusted processes send, and the descriptors that come with
//! their messages (`man 7 unix`, SCM_RIGHTS).
//!
//! The close of a descriptor can block, and whether it does is the sender's choice: a
//! TCP socket with unsent data and SO_LINGER, a file of a FUSE server. A descriptor in a
//! message is closed by the process that receives the message, or that closes the socket
//! with the message in its queue. That must not be a process that others wait for.
//!
//! From Linux 6.16 on, these sockets refuse messages with descriptors (SO_PASSRIGHTS).
//! On older kernels, no such message is received: a peek tells whether one comes next.
//! A socket with such a message is handed over to a process of its own, which exits:
//! in an exiting process the close of a socket does not linger (`inet_release` of the
//! kernel's `net/ipv4/af_inet.c`), and any other close blocks that process alone. A
//! thread would not do: it keeps its process from exiting, and the next clone needs a
//! process with one thread.

use std::cell::RefCell;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use nix::errno::Errno;
use rustix::net::{RecvFlags, Shutdown, SocketFlags, sockopt};

use super::clone::{self, Side};
use super::pidfd::Process;
use super::seqpacket;

/// `SO_PASSRIGHTS` of the kernel's `asm-generic/socket.h`.
const SO_PASSRIGHTS: libc::c_int = 83;

/// Space of a control message with credentials, in bytes (`man 3 cmsg`, CMSG_SPACE).
const CREDENTIALS_SPACE: usize = size_of::<libc::cmsghdr>()
    + size_of::<libc::ucred>().next_multiple_of(size_of::<libc::size_t>());

/// Processes that may hold sockets at once. They end at once, except for a descriptor
/// whose close blocks even an exiting process.
const MOST_PROCESSES: usize = 32;

/// The processes that close what an untrusted sender has sent. All copies are the same.
#[derive(Debug, Clone, Default)]
pub struct Closers(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    processes: Vec<Process>,
    /// Sockets for which there was no process. Never closed here.
    waiting: Vec<ManuallyDrop<OwnedFd>>,
    /// A process could not be made, for example for lack of memory.
    failed: bool,
}

impl Closers {
    /// Whether untrusted sockets may be accepted, and be received from.
    pub fn are_free(&self) -> bool {
        let inner = self.0.borrow();
        inner.waiting.is_empty() && inner.has_room()
    }

    /// Whether there is nothing to [tend](Closers::tend).
    pub fn are_idle(&self) -> bool {
        let inner = self.0.borrow();
        inner.waiting.is_empty() && inner.processes.is_empty() && !inner.failed
    }

    /// Reaps the processes that have ended, and hands over sockets that wait.
    pub fn tend(&self) {
        let mut inner = self.0.borrow_mut();
        inner.failed = false;
        inner.reap();
        for socket in std::mem::take(&mut inner.waiting) {
            inner.hand_over(socket);
        }
    }

    /// Closes a socket in a process of its own, now or when there is room.
    fn close(&self, socket: ManuallyDrop<OwnedFd>) {
        let mut inner = self.0.borrow_mut();
        inner.reap();
        inner.hand_over(socket);
    }

    /// Receives the next message, which has descriptors, in a process of its own.
    /// Nothing happens if there is no room for one.
    fn receive(&self, socket: BorrowedFd<'_>) {
        let mut inner = self.0.borrow_mut();
        inner.reap();
        if inner.has_room() && inner.spawn(socket, receive_and_keep).is_err() {
            inner.failed = true;
        }
    }
}

impl Inner {
    fn has_room(&self) -> bool {
        self.processes.len() < MOST_PROCESSES && !self.failed
    }

    fn reap(&mut self) {
        self.processes
            .retain(|process| matches!(process.try_wait(), Ok(None)));
    }

    fn hand_over(&mut self, socket: ManuallyDrop<OwnedFd>) {
        if !self.has_room() {
            return self.waiting.push(socket);
        }
        match self.spawn(socket.as_fd(), drop) {
            // Not the last copy: the process has one until this is done.
            Ok(held) => {
                drop(ManuallyDrop::into_inner(socket));
                drop(held);
            }
            Err(_) => {
                self.failed = true;
                self.waiting.push(socket);
            }
        }
    }

    /// Makes a process that has no descriptor but its copy of the socket, does something
    /// with it, and exits when the returned value is dropped.
    fn spawn(&mut self, socket: BorrowedFd<'_>, act: fn(RawFd)) -> io::Result<OwnedFd> {
        let (ours, theirs) = seqpacket::pair()?;
        // SAFETY: the child makes system calls only. It takes no lock, and so does not
        // depend on other threads.
        match unsafe { clone::clone(0, None) }? {
            Side::Child => {
                keep_only(socket.as_raw_fd(), theirs.as_raw_fd());
                act(0);
                report_and_await_close(1);
                clone::exit(0)
            }
            Side::Parent(process) => {
                self.processes.push(process);
                drop(theirs);
                let mut word = [0; 1];
                let received = seqpacket::receive(ours.as_fd(), &mut word, RecvFlags::empty())?;
                match received.length {
                    0 => Err(io::ErrorKind::BrokenPipe.into()),
                    _ => Ok(ours),
                }
            }
        }
    }
}

/// Keeps two descriptors, as 0 and 1, and closes all others. None of these is the last
/// copy: the parent waits meanwhile.
fn keep_only(first: RawFd, second: RawFd) {
    // SAFETY: the calling process is a child of this one, which uses no descriptor but
    // these two. `first` and `second` are greater than 1, the standard streams' numbers,
    // which Rust's runtime keeps open.
    unsafe {
        libc::dup2(first, 0);
        libc::dup2(second, 1);
        libc::syscall(libc::SYS_close_range, 2, libc::c_uint::MAX, 0);
    }
}

/// Tells the parent that it may go on, and waits until the parent closes its end.
fn report_and_await_close(channel: RawFd) {
    let mut byte = 0_u8;
    // SAFETY: both calls access the byte only, which outlives them.
    unsafe {
        libc::send(channel, (&raw const byte).cast(), 1, libc::MSG_NOSIGNAL);
        while libc::recv(channel, (&raw mut byte).cast(), 1, 0) == -1
            && Errno::last() == Errno::EINTR
        {}
    }
}

/// Receives a message with its descriptors, which stay open.
fn receive_and_keep(socket: RawFd) {
    // Space for more descriptors than a message can have (`SCM_MAX_FD` of the kernel's
    // `net/scm.h`, 253), and for credentials.
    let mut space = [0_u64; 160];
    let mut message = header(&mut space);
    // SAFETY: the header points to the space, with its length.
    unsafe { libc::recvmsg(socket, &raw mut message, libc::MSG_DONTWAIT) };
}

/// A message that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// Its length in bytes.
    pub length: usize,
    /// The pid of the sender in the caller's pid namespace; 0 if it has none there.
    pub sender: i32,
}

/// The first message of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Plain(Message),
    WithDescriptors,
    /// The other end is closed.
    End,
}

/// A socket to which untrusted processes send. It receives no descriptors, and neither
/// does its close, or its peers' (see the module).
#[derive(Debug)]
pub struct UntrustedSocket {
    socket: ManuallyDrop<OwnedFd>,
    closers: Closers,
}

impl UntrustedSocket {
    /// A socket that is not bound yet, of a kind that keeps messages apart.
    ///
    /// # Errors
    ///
    /// The kernel's, except for older kernels' lack of SO_PASSRIGHTS.
    pub fn new(socket: OwnedFd, closers: &Closers) -> io::Result<Self> {
        let socket = Self {
            socket: ManuallyDrop::new(socket),
            closers: closers.clone(),
        };
        // A message then differs from the end of the connection, even an empty one.
        sockopt::set_socket_passcred(&socket, true)?;
        match refuse_descriptors(socket.as_fd()) {
            Ok(()) | Err(Errno::ENOPROTOOPT) => Ok(socket),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Accepts a connection, which has these properties too.
    ///
    /// # Errors
    ///
    /// The kernel's; of [`io::ErrorKind::WouldBlock`] if none is waiting and this socket
    /// does not wait.
    pub fn accept(&self) -> io::Result<Self> {
        let socket = rustix::net::accept_with(&*self.socket, SocketFlags::CLOEXEC)?;
        Self::new(socket, &self.closers)
    }

    /// Receives a message that waits. `None` at the end of the connection, and for a
    /// message with descriptors, which is passed over or still comes first.
    ///
    /// # Errors
    ///
    /// The kernel's; of [`io::ErrorKind::WouldBlock`] if no message waits.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<Message>> {
        match self.first(buffer)? {
            First::Plain(message) => {
                self.discard_first()?;
                Ok(Some(message))
            }
            First::WithDescriptors => {
                self.closers.receive(self.as_fd());
                Ok(None)
            }
            First::End => Ok(None),
        }
    }

    /// The first message in the queue, which stays there.
    fn first(&self, buffer: &mut [u8]) -> io::Result<First> {
        // Space for credentials only. The kernel stores them first, and passes no
        // descriptor that has no space (`scm_detach_fds` of its `net/core/scm.c`).
        let mut space = [0_u64; CREDENTIALS_SPACE / size_of::<u64>()];
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut message = header(&mut space);
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
        let length = loop {
            // SAFETY: the header points to the buffer and the space, with their lengths.
            let answer = unsafe { libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, flags) };
            match Errno::result(answer) {
                Ok(length) => break length.cast_unsigned(),
                // Reset: the other end has closed without reading all messages to it.
                // Its own messages are still there.
                Err(Errno::EINTR | Errno::ECONNRESET) => {}
                Err(errno) => return Err(errno.into()),
            }
        };
        if message.msg_flags & libc::MSG_CTRUNC != 0 {
            return Ok(First::WithDescriptors);
        }
        Ok(match sender(&message) {
            Some(sender) => First::Plain(Message { length, sender }),
            None => First::End,
        })
    }

    fn discard_first(&self) -> io::Result<()> {
        loop {
            match rustix::net::recv(&*self.socket, &mut [0_u8; 0], RecvFlags::DONTWAIT) {
                Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
                answer => return Ok(answer.map(drop)?),
            }
        }
    }

    /// Lets no message and no connection in, and removes those that wait. Whether all
    /// are removed: then nothing blocks the close.
    fn empty(&self) -> bool {
        // Not in both directions: that would close the queue to its reader as well. An
        // error is one of a socket that has no connection.
        let _ = rustix::net::shutdown(&*self.socket, Shutdown::Read);
        loop {
            match self.accept() {
                Ok(connection) => drop(connection),
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR | libc::ECONNABORTED) => {}
                    // None waits, or this socket does not listen.
                    Some(libc::EAGAIN | libc::EINVAL | libc::EOPNOTSUPP) => break,
                    _ => return false,
                },
            }
        }
        loop {
            match self.first(&mut []) {
                Ok(First::Plain(_)) if self.discard_first().is_ok() => {}
                Ok(First::End) => return true,
                Ok(First::Plain(_) | First::WithDescriptors) => return false,
                Err(error) => {
                    let none = [libc::EAGAIN, libc::ENOTCONN, libc::EINVAL];
                    return error
                        .raw_os_error()
                        .is_some_and(|errno| none.contains(&errno));
                }
            }
        }
    }
}

impl AsFd for UntrustedSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for UntrustedSocket {
    fn drop(&mut self) {
        let may_close = self.empty();
        // SAFETY: the value is not used again.
        let socket = unsafe { ManuallyDrop::take(&mut self.socket) };
        if !may_close {
            self.closers.close(ManuallyDrop::new(socket));
        }
    }
}

/// A header without a message, with space for control messages.
fn header(space: &mut [u64]) -> libc::msghdr {
    // SAFETY: zeros are the neutral value of all fields.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_control = space.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(space) as _;
    header
}

/// The pid of the sender of a message that the kernel has received; `None` if no message
/// came.
fn sender(message: &libc::msghdr) -> Option<i32> {
    // SAFETY: the kernel has filled the space that the header points to.
    let control = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (control.cmsg_level, control.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) {
        return None;
    }
    // SAFETY: the kernel has stored credentials, not necessarily aligned.
    let sender: libc::ucred = unsafe {
        libc::CMSG_DATA(control)
            .cast::<libc::ucred>()
            .read_unaligned()
    };
    Some(sender.pid)
}

/// Has the kernel refuse messages with descriptors: their sender gets EPERM. A socket
/// that is accepted has this from the one that listens.
fn refuse_descriptors(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let off: libc::c_int = 0;
    // SAFETY: the kernel reads the number, which outlives the call.
    let answer = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            (&raw const off).cast(),
            libc::c_int::BITS / 8,
        )
    };
    Errno::result(answer).map(drop)
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SendFlags, SocketType, socketpair};

    use super::*;

    /// A socket as older kernels have it, and one that is connected with it.
    fn older(kind: SocketType) -> (UntrustedSocket, OwnedFd) {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).expect("sockets");
        sockopt::set_socket_passcred(&ours, true).expect("an option of Unix sockets");
        let socket = UntrustedSocket {
            socket: ManuallyDrop::new(ours),
            closers: Closers::default(),
        };
        (socket, theirs)
    }

    fn send(socket: &OwnedFd, message: &[u8], descriptors: &[BorrowedFd<'_>]) {
        seqpacket::send(socket.as_fd(), message, descriptors, SendFlags::empty())
            .expect("it is sent");
    }

    /// The length of the next message that is received; `None` without one.
    fn received(socket: &UntrustedSocket) -> io::Result<Option<usize>> {
        let received = socket.receive(&mut [0; 16])?;
        Ok(received.map(|message| {
            assert_eq!(message.sender, std::process::id().cast_signed());
            message.length
        }))
    }

    /// A pipe whose reading end tells when the writing end is closed everywhere.
    fn pipe() -> (io::PipeReader, OwnedFd) {
        let (reader, writer) = io::pipe().expect("a pipe");
        (reader, writer.into())
    }

    fn await_closed(mut reader: io::PipeReader) {
        io::copy(&mut reader, &mut io::sink()).expect("the end");
    }

    fn await_idle(closers: &Closers) {
        while !closers.are_idle() {
            closers.tend();
            std::thread::yield_now();
        }
    }

    #[test]
    fn messages_without_descriptors_are_received_and_others_passed_over() {
        for kind in [SocketType::SEQPACKET, SocketType::DGRAM] {
            let (socket, sender) = older(kind);
            let (reader, writer) = pipe();
            send(&sender, b"one", &[]);
            send(&sender, b"", &[]);
            send(&sender, b"with", &[writer.as_fd(), sender.as_fd()]);
            send(&sender, b"three", &[]);
            drop(writer);
            assert_eq!(received(&socket).expect("one"), Some(3));
            assert_eq!(received(&socket).expect("an empty one"), Some(0));
            assert_eq!(received(&socket).expect("descriptors"), None);
            assert_eq!(received(&socket).expect("three"), Some(5));
            let none = received(&socket).expect_err("no further one").kind();
            assert_eq!(none, io::ErrorKind::WouldBlock);
            await_closed(reader);
            await_idle(&socket.closers);
        }
    }

    #[test]
    fn socket_with_descriptors_in_its_queue_is_closed_by_another_process() {
        for kind in [SocketType::SEQPACKET, SocketType::DGRAM] {
            for with_descriptors in [true, false] {
                let (socket, sender) = older(kind);
                let (reader, writer) = pipe();
                let descriptors = [writer.as_fd()];
                for _ in 0..3 {
                    send(&sender, b"", &[]);
                }
                send(&sender, b"x", &descriptors[..usize::from(with_descriptors)]);
                drop(writer);
                let closers = socket.closers.clone();
                drop(socket);
                assert_eq!(!closers.are_idle(), with_descriptors);
                await_closed(reader);
                let late = rustix::net::send(&sender, b"late", SendFlags::NOSIGNAL);
                assert!(late.is_err());
                await_idle(&closers);
            }
        }
    }

    #[test]
    fn connections_that_wait_are_closed_with_their_listener() {
        let directory = tempfile::tempdir().expect("a directory");
        let address = rustix::net::SocketAddrUnix::new(directory.path().join("socket"));
        let address = address.expect("a short path");
        let make = || {
            let kind = SocketType::SEQPACKET;
            rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
                .expect("a socket")
        };
        let listener = UntrustedSocket::new(make(), &Closers::default()).expect("a socket");
        rustix::net::bind(&listener, &address).expect("it is free");
        rustix::net::listen(&listener, 8).expect("it is bound");
        let clients: Vec<_> = (0..3).map(|_| make()).collect();
        for client in &clients {
            rustix::net::connect(client, &address).expect("it listens");
            send(client, b"plain", &[]);
        }
        drop(listener);
        for client in &clients {
            let closed = rustix::net::send(client, b"late", SendFlags::NOSIGNAL);
            assert!(closed.is_err());
        }
        assert!(rustix::net::connect(make(), &address).is_err());
    }

    #[test]
    fn senders_of_descriptors_are_refused_where_the_kernel_can() {
        let (ours, theirs) = seqpacket::pair().expect("sockets");
        let has_option = refuse_descriptors(ours.as_fd()) != Err(Errno::ENOPROTOOPT);
        let sent = seqpacket::send(theirs.as_fd(), b"x", &[ours.as_fd()], SendFlags::empty());
        assert_eq!(sent.is_err(), has_option);
    }
}
