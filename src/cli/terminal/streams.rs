//! The caller's standard streams, and what stands for them inside.
//!
//! Whoever holds a terminal can type into it (`man 2 ioctl_tty`, TIOCSTI), set
//! it up and read its keys: so no program inside gets the caller's. If it is
//! there for this command alone, a terminal of the container's stands for it;
//! in a pipeline, where another program may read its keys, a pipe does. All
//! other files are handed over as they are.

use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, bail};
use runtime::process::enter::Stream;
use rustix::fs::{FileType, OFlags};

use super::channel::{Channel, Ours, pipe, unblocked};

/// What stands for the caller's standard input, output and error.
#[derive(Debug)]
pub struct Streams {
    inside: [Stream; 3],
    /// What it reads, if that is typed at the caller's terminal.
    pub input: Option<Channel>,
    /// What it writes, if that is shown there.
    pub output: Vec<Channel>,
}

/// What stands for one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    Itself,
    Pipe,
    Terminal,
}

fn decide(are_terminals: [bool; 3]) -> [Stand; 3] {
    let [input, output, _] = are_terminals;
    are_terminals.map(|is_terminal| match is_terminal {
        false => Stand::Itself,
        true if input && output => Stand::Terminal,
        true => Stand::Pipe,
    })
}

impl Streams {
    /// Those of this process.
    pub fn of_caller() -> Result<Self> {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let callers = [
            ("input", stdin.as_fd()),
            ("output", stdout.as_fd()),
            ("error", stderr.as_fd()),
        ];
        for (name, stream) in callers {
            refuse_directory(name, stream)?;
        }
        let mut streams = Self {
            inside: callers_own(),
            input: None,
            output: Vec::new(),
        };
        let stands = decide(callers.map(|(_, stream)| stream.is_terminal()));
        for (index, stand) in stands.into_iter().enumerate() {
            let caller = callers[index].1;
            streams.inside[index] = match stand {
                Stand::Itself => Stream::Callers,
                Stand::Terminal => Stream::Terminal,
                Stand::Pipe => streams.pipe(index, caller).context("cannot make a pipe")?,
            };
        }
        Ok(streams)
    }

    /// Those of the process inside, once.
    pub fn take_inside(&mut self) -> [Stream; 3] {
        std::mem::replace(&mut self.inside, callers_own())
    }

    fn pipe(&mut self, index: usize, caller: BorrowedFd<'_>) -> std::io::Result<Stream> {
        let theirs = if index == 0 {
            let (ours, theirs) = pipe(Ours::Writer)?;
            self.input = Some(Channel::new(callers_input(caller)?, ours));
            theirs
        } else {
            let (ours, theirs) = pipe(Ours::Reader)?;
            self.output
                .push(Channel::new(ours, callers_output(caller)?));
            theirs
        };
        Ok(Stream::Given(theirs))
    }
}

fn callers_own() -> [Stream; 3] {
    [Stream::Callers, Stream::Callers, Stream::Callers]
}

/// The caller's terminal, to read keys from.
pub fn callers_input(stream: impl AsFd) -> std::io::Result<File> {
    unblocked(stream, OFlags::RDONLY)
}

/// The caller's terminal, to show something at.
pub fn callers_output(stream: impl AsFd) -> std::io::Result<File> {
    unblocked(stream, OFlags::WRONLY)
}

/// From a directory of the host's, `..` leads a program inside out.
fn refuse_directory(name: &str, stream: BorrowedFd<'_>) -> Result<()> {
    let stat = rustix::fs::fstat(stream).with_context(|| format!("cannot use standard {name}"))?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        bail!("standard {name} is a directory: a program inside could leave the container by it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_terminal_is_handed_over() {
        use Stand::{Itself, Pipe, Terminal};
        for (terminals, stands) in [
            ([true, true, true], [Terminal, Terminal, Terminal]),
            ([true, true, false], [Terminal, Terminal, Itself]),
            // run … | less
            ([true, false, true], [Pipe, Itself, Pipe]),
            // … | run …
            ([false, true, true], [Itself, Pipe, Pipe]),
            ([false, false, true], [Itself, Itself, Pipe]),
            ([false, false, false], [Itself, Itself, Itself]),
        ] {
            assert_eq!(decide(terminals), stands);
        }
    }
}
