//! Runs nft(8).

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, Write},
    process::{Child, Command, Output, Stdio},
};

use nftables::schema::Nftables;
use rustix::fs::{MemfdFlags, memfd_create};

use super::{Error, lock::Lock};

const PROGRAM: &str = "nft";

/// A transaction that nft has been given.
///
/// The crate's own way to run nft leaves its messages to the terminal, where
/// they would not belong to any error, and waits.
pub struct Transaction {
    operation: &'static str,
    nft: Option<Child>,
}

impl Transaction {
    /// Has `commands` performed: all of them, or none. `lock` is held until
    /// that is done, even if this process is killed before.
    pub fn begin(
        commands: &Nftables<'_>,
        lock: &Lock,
        operation: &'static str,
    ) -> Result<Self, Error> {
        let text = serde_json::to_vec(commands).map_err(|error| failed(operation, error))?;
        let begin = |mut nft: Command| {
            let nft = nft.stdout(lock.as_output()?).stderr(Stdio::piped());
            nft.spawn()
        };
        let nft = nft(&["-j", "-f", "-"], &text)
            .and_then(begin)
            .map_err(|error| not_run(operation, &error))?;
        Ok(Self {
            operation,
            nft: Some(nft),
        })
    }

    /// Waits for the end.
    pub fn finish(mut self) -> Result<(), Error> {
        let Some(nft) = self.nft.take() else {
            return Ok(());
        };
        let output = nft
            .wait_with_output()
            .map_err(|error| failed(self.operation, error))?;
        succeeded(self.operation, &output)
    }
}

impl Drop for Transaction {
    /// Leaves no child behind where an error came between.
    fn drop(&mut self) {
        if let Some(mut nft) = self.nft.take() {
            let _ = nft.wait();
        }
    }
}

/// The rules of the whole host, as nft words them in JSON.
pub fn list_ruleset(operation: &'static str) -> Result<Vec<u8>, Error> {
    let output = nft(&["-j", "list", "ruleset"], &[])
        .and_then(|mut nft| nft.output())
        .map_err(|error| not_run(operation, &error))?;
    succeeded(operation, &output)?;
    Ok(output.stdout)
}

fn nft(arguments: &[&str], input: &[u8]) -> io::Result<Command> {
    let mut nft = Command::new(PROGRAM);
    nft.args(arguments).stdin(file_with(input)?);
    Ok(nft)
}

fn succeeded(operation: &'static str, output: &Output) -> Result<(), Error> {
    if output.status.success() {
        return Ok(());
    }
    Err(failed(operation, first_line(&output.stderr)))
}

fn not_run(operation: &'static str, error: &io::Error) -> Error {
    match error.kind() {
        ErrorKind::NotFound => Error::NoNft { operation },
        _ => failed(operation, error),
    }
}

fn failed(operation: &'static str, message: impl ToString) -> Error {
    Error::Nft {
        operation,
        message: message.to_string(),
    }
}

/// A file in memory that is read from its beginning. Unlike a pipe it cannot
/// break while it is written to, which would be a signal.
fn file_with(content: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("nft", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

/// Of what nft wrote: after it comes the input's text, with a mark below.
fn first_line(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text.lines().next().unwrap_or("it failed without a word");
    line.trim_start_matches("internal:0:0-0: ").to_owned()
}
