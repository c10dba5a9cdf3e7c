//! Runs nft(8).

use std::{
    fs::File,
    io::{self, ErrorKind, Seek, Write},
    process::{Command, Output},
};

use nftables::schema::Nftables;
use rustix::fs::{MemfdFlags, memfd_create};

use super::Error;

const PROGRAM: &str = "nft";

/// Has one transaction performed: all of it, or nothing.
///
/// The crate's own way to run nft leaves its messages to the terminal, where
/// they would not belong to any error.
pub fn transact(commands: &Nftables<'_>, operation: &'static str) -> Result<(), Error> {
    let text = serde_json::to_vec(commands).map_err(|error| Error::Nft {
        operation,
        message: error.to_string(),
    })?;
    run(&["-j", "-f", "-"], &text, operation)?;
    Ok(())
}

/// The rules of the whole host, as nft words them in JSON.
pub fn list_ruleset(operation: &'static str) -> Result<Vec<u8>, Error> {
    run(&["-j", "list", "ruleset"], &[], operation)
}

fn run(arguments: &[&str], input: &[u8], operation: &'static str) -> Result<Vec<u8>, Error> {
    let output = file_with(input)
        .and_then(|stdin| Command::new(PROGRAM).args(arguments).stdin(stdin).output());
    let Output {
        status,
        stdout,
        stderr,
    } = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::NoNft { operation },
        _ => Error::Nft {
            operation,
            message: error.to_string(),
        },
    })?;
    if status.success() {
        return Ok(stdout);
    }
    Err(Error::Nft {
        operation,
        message: first_line(&stderr),
    })
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
