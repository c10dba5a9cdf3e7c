//! The caller's standard streams, and their substitutes in the container.
//!
//! A program that has a terminal open can type into it (`man 2 ioctl_tty`,
//! TIOCSTI), change its settings and read its keys. So a program inside never
//! gets the caller's terminal. If input and output are terminals, the substitute
//! is a terminal of the container. In a pipeline, where another program may read
//! the terminal's keys, it is a pipe. All other files are inherited.

use std::io::IsTerminal;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, bail};
use runtime::process::enter::Stream;
use rustix::fs::{FileType, Mode, OFlags};

use super::channel::{Channel, unblock, unblocked};

/// The standard input, output and error of the program inside.
#[derive(Debug)]
pub struct Streams {
    inside: [Stream; 3],
    /// The channel from the caller's terminal, if the program's input is a pipe.
    pub input: Option<Channel>,
    /// The channels to the caller's terminal, for outputs that are pipes.
    pub outputs: Vec<Channel>,
}

/// The substitute of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Substitute {
    Inherited,
    Pipe,
    Terminal,
}

fn substitutes(are_terminals: [bool; 3]) -> [Substitute; 3] {
    let [input, output, _] = are_terminals;
    are_terminals.map(|is_terminal| match is_terminal {
        false => Substitute::Inherited,
        true if input && output => Substitute::Terminal,
        true => Substitute::Pipe,
    })
}

impl Streams {
    /// Decides the substitutes of this process's streams.
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
            inside: all_inherited(),
            input: None,
            outputs: Vec::new(),
        };
        let substitutes = substitutes(callers.map(|(_, stream)| stream.is_terminal()));
        for (index, substitute) in substitutes.into_iter().enumerate() {
            let caller = callers[index].1;
            streams.inside[index] = match substitute {
                Substitute::Inherited => Stream::Callers,
                Substitute::Terminal => Stream::Terminal,
                Substitute::Pipe => streams.pipe(index, caller).context("cannot make a pipe")?,
            };
        }
        Ok(streams)
    }

    /// The streams of a program that has no input, and of whose output a terminal shows the
    /// text, without escape sequences.
    pub fn for_text() -> Result<Self> {
        let nothing =
            rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mut streams = Self {
            inside: all_inherited(),
            input: None,
            outputs: Vec::new(),
        };
        streams.inside[0] = Stream::Given(nothing.context("cannot open /dev/null")?);
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        let callers = [("output", stdout.as_fd()), ("error", stderr.as_fd())];
        for (index, (name, caller)) in (1..).zip(callers) {
            refuse_directory(name, caller)?;
            if caller.is_terminal() {
                streams.inside[index] =
                    streams.pipe(index, caller).context("cannot make a pipe")?;
            }
        }
        streams.outputs = streams
            .outputs
            .into_iter()
            .map(Channel::printable)
            .collect();
        Ok(streams)
    }

    /// Takes the streams of the program inside.
    pub fn take_inside(&mut self) -> [Stream; 3] {
        std::mem::replace(&mut self.inside, all_inherited())
    }

    fn pipe(&mut self, index: usize, caller: BorrowedFd<'_>) -> std::io::Result<Stream> {
        let (reader, writer) = std::io::pipe()?;
        Ok(Stream::Given(if index == 0 {
            let ours = unblock(writer.into())?;
            self.input = Some(Channel::new(unblocked(caller, OFlags::RDONLY)?, ours));
            reader.into()
        } else {
            let ours = unblock(reader.into())?;
            let output = Channel::new(ours, unblocked(caller, OFlags::WRONLY)?);
            self.outputs.push(output);
            writer.into()
        }))
    }
}

fn all_inherited() -> [Stream; 3] {
    [Stream::Callers, Stream::Callers, Stream::Callers]
}

/// From a directory of the host, `..` leads out of the container.
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
    fn no_terminal_is_inherited() {
        use Substitute::{Inherited, Pipe, Terminal};
        for (terminals, expected) in [
            ([true, true, true], [Terminal, Terminal, Terminal]),
            ([true, true, false], [Terminal, Terminal, Inherited]),
            // run … | less
            ([true, false, true], [Pipe, Inherited, Pipe]),
            // … | run …
            ([false, true, true], [Inherited, Pipe, Pipe]),
            ([false, false, true], [Inherited, Inherited, Pipe]),
            ([false, false, false], [Inherited, Inherited, Inherited]),
        ] {
            assert_eq!(substitutes(terminals), expected);
        }
    }
}
