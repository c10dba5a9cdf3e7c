//! What is read at one place and written at another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use runtime::sys::proc;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};

/// One way from a file to another. Neither is waited for: what the one end has
/// no room for waits here, and the other end is not read meanwhile.
#[derive(Debug)]
pub struct Channel {
    from: Option<File>,
    to: Option<File>,
    waiting: Vec<u8>,
}

/// What became of an attempt to move something.
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
    /// Reading or writing the files must not block.
    pub fn new(from: File, to: File) -> Self {
        Self {
            from: Some(from),
            to: Some(to),
            waiting: Vec::new(),
        }
    }

    /// What has to happen before there is something to do.
    pub fn wish(&self) -> Option<PollFd<'_>> {
        if self.waiting.is_empty() {
            Some(PollFd::new(self.from.as_ref()?, PollFlags::IN))
        } else {
            Some(PollFd::new(self.to.as_ref()?, PollFlags::OUT))
        }
    }

    /// Whether something was read that is not written yet.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What was read and not written yet.
    pub fn waiting(&self) -> &[u8] {
        &self.waiting
    }

    /// Reads what is there if nothing waits to be written, and writes what
    /// there is room for.
    pub fn advance(&mut self) -> Moved {
        if !self.waiting.is_empty() {
            return self.write();
        }
        match self.read() {
            Moved::Some => {
                self.write();
                Moved::Some
            }
            nothing => nothing,
        }
    }

    /// Reads what is there. Does not write it, for whoever has to look at it
    /// first.
    pub fn read(&mut self) -> Moved {
        let Some(mut from) = self.from.as_ref() else {
            return Moved::Ended;
        };
        self.waiting.resize(BUFFER, 0);
        let length = from.read(&mut self.waiting);
        self.waiting.truncate(*length.as_ref().unwrap_or(&0));
        match length {
            Ok(1..) => Moved::Some,
            Err(error) if is_later(&error) => Moved::Nothing,
            Ok(0) | Err(_) => Moved::Ended,
        }
    }

    /// Writes what there is room for.
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
            Err(error) if is_later(&error) => Moved::Nothing,
            // Nobody can read it any more, so nobody misses it.
            Err(_) => {
                self.close();
                Moved::Ended
            }
        }
    }

    /// Lets go of both ends: who reads from it finds the end.
    pub fn close(&mut self) {
        self.from = None;
        self.to = None;
        self.waiting.clear();
    }
}

/// Read at once at most, in bytes: as much as a pipe holds (`man 7 pipe`).
const BUFFER: usize = 64 * 1024;

fn is_later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// A file that never blocks, of a stream that is somebody else's too: opened
/// anew, because a descriptor's copies share whether they block. Where that is
/// not allowed (another user's terminal), a copy has to do.
pub fn unblocked(stream: impl AsFd, access: OFlags) -> io::Result<File> {
    let stream = stream.as_fd();
    let path = proc::descriptor_path(stream);
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(path, flags, Mode::empty()).map(File::from);
    opened.or_else(|_| Ok(File::from(rustix::io::fcntl_dupfd_cloexec(stream, 3)?)))
}

/// Both ends of a pipe of which this process has the first, which never blocks.
pub fn pipe(ours: Ours) -> io::Result<(File, OwnedFd)> {
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let (ours, theirs) = match ours {
        Ours::Reader => (reader, writer),
        Ours::Writer => (writer, reader),
    };
    rustix::io::ioctl_fionbio(&ours, true)?;
    Ok((File::from(ours), theirs))
}

/// Which end of a pipe stays here.
#[derive(Debug, Clone, Copy)]
pub enum Ours {
    /// That which is read.
    Reader,
    /// That which is written.
    Writer,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_waits_and_stays_in_order() {
        let (mut source, from) = pipe(Ours::Writer).expect("a pipe");
        rustix::io::ioctl_fionbio(&from, true).expect("a pipe");
        let (mut sink, to) = pipe(Ours::Reader).expect("a pipe");
        rustix::io::ioctl_fionbio(&to, true).expect("a pipe");
        let mut channel = Channel::new(from.into(), to.into());
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
