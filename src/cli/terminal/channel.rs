//! Copying from one file to another, without waiting for either.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use runtime::sys::proc;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

use crate::report::printable::Printable;

/// Copies from one file to another. Bytes that the second file has no room for
/// wait here, and the first file is not read meanwhile.
#[derive(Debug)]
pub struct Channel {
    from: Option<File>,
    to: Option<File>,
    waiting: Vec<u8>,
    filter: Option<Printable<Vec<u8>>>,
}

/// The result of an attempt to read or write.
#[derive(Debug, PartialEq, Eq)]
pub enum Moved {
    /// Something was read or written.
    Some,
    /// There is nothing to read, or no room to write.
    Nothing,
    /// Nothing more will come.
    Ended,
}

impl Channel {
    /// A channel between two files whose reads and writes do not block.
    pub fn new(from: File, to: File) -> Self {
        Self {
            from: Some(from),
            to: Some(to),
            waiting: Vec::new(),
            filter: None,
        }
    }

    /// The channel, for text of which no escape sequences pass other than colours.
    pub fn printable(mut self) -> Self {
        self.filter = Some(Printable::new(Vec::new()));
        self
    }

    /// The event that lets the channel go on; `None` if it is closed.
    pub fn poll_fd(&self) -> Option<PollFd<'_>> {
        if self.waiting.is_empty() {
            Some(PollFd::new(self.from.as_ref()?, PollFlags::IN))
        } else {
            Some(PollFd::new(self.to.as_ref()?, PollFlags::OUT))
        }
    }

    /// Whether bytes were read that are not written yet.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The bytes that were read and are not written yet.
    pub fn waiting(&self) -> &[u8] {
        &self.waiting
    }

    /// Reads available bytes, unless some wait already, and writes as many as
    /// there is room for.
    pub fn advance(&mut self) -> Moved {
        if !self.waiting.is_empty() {
            return self.write();
        }
        match self.read() {
            Moved::Some => {
                if let Some(filter) = &mut self.filter
                    && filter.write_all(&self.waiting).is_ok()
                {
                    self.waiting = filter.take();
                }
                self.write();
                Moved::Some
            }
            nothing => nothing,
        }
    }

    /// Reads available bytes. The caller may inspect them before they are
    /// written.
    pub fn read(&mut self) -> Moved {
        let Some(mut from) = self.from.as_ref() else {
            return Moved::Ended;
        };
        self.waiting.resize(BUFFER, 0);
        let length = from.read(&mut self.waiting);
        self.waiting.truncate(*length.as_ref().unwrap_or(&0));
        match length {
            Ok(1..) => Moved::Some,
            Err(error) if would_block(&error) => Moved::Nothing,
            Ok(0) | Err(_) => Moved::Ended,
        }
    }

    /// Writes as many bytes as there is room for.
    pub fn write(&mut self) -> Moved {
        let Some(mut to) = self.to.as_ref() else {
            self.waiting.clear();
            return Moved::Ended;
        };
        match to.write(&self.waiting) {
            Ok(length) => {
                self.waiting.drain(..length);
                Moved::Some
            }
            Err(error) if would_block(&error) => Moved::Nothing,
            // No reader is left.
            Err(_) => {
                self.close();
                Moved::Ended
            }
        }
    }

    /// Closes both files: the reader finds the end of its input.
    pub fn close(&mut self) {
        if let (Some(filter), Some(to)) = (&mut self.filter, &mut self.to) {
            // A terminal without room keeps the colours.
            let _ = to.write(&filter.end());
        }
        self.from = None;
        self.to = None;
        self.waiting.clear();
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.close();
    }
}

/// Longest read, in bytes: the capacity of a pipe (`man 7 pipe`).
const BUFFER: usize = 64 * 1024;

fn would_block(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// A file that does not block, for a stream that other processes use too: opened
/// again, because the copies of a descriptor share O_NONBLOCK. A copy where that
/// is not allowed (another user's terminal).
pub fn unblocked(stream: impl AsFd, access: OFlags) -> io::Result<File> {
    let stream = stream.as_fd();
    let path = proc::descriptor_path(stream);
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map(File::from);
    opened.or_else(|_| Ok(File::from(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)))
}

/// The file of a descriptor that no other process uses, made not to block.
pub fn unblock(descriptor: OwnedFd) -> io::Result<File> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    Ok(File::from(descriptor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_room_wait_and_stay_in_order() {
        let pipe = || {
            let (reader, writer) = io::pipe().expect("a pipe");
            [reader.into(), writer.into()].map(|end| unblock(end).expect("a pipe"))
        };
        let ([from, mut source], [mut sink, to]) = (pipe(), pipe());
        let mut channel = Channel::new(from, to);
        assert_eq!(channel.advance(), Moved::Nothing);
        let sent: Vec<u8> = (0..1_000_000_u32)
            .map(|number| (number >> 3) as u8)
            .collect();
        let (mut unsent, mut received) = (&sent[..], Vec::new());
        let mut waited = false;
        while received.len() < sent.len() {
            if let Ok(length) = source.write(unsent) {
                unsent = &unsent[length..];
            }
            while channel.advance() == Moved::Some {}
            waited |= channel.has_waiting();
            let mut buffer = [0; 1000];
            if let Ok(length) = sink.read(&mut buffer) {
                received.extend_from_slice(&buffer[..length]);
            }
        }
        assert!(waited && received == sent);
        drop(source);
        assert_eq!(channel.advance(), Moved::Ended);
        channel.close();
        assert_eq!(sink.read(&mut [0; 10]).expect("the end"), 0);
    }
}
