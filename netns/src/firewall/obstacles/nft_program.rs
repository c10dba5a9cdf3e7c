//! Asks nft(8).

use std::io::ErrorKind;
use std::process::{Command, Stdio};

const PROGRAM: &str = "nft";

/// The rules of the whole host, as nft words them in JSON; otherwise why it
/// cannot be asked.
pub fn list_ruleset() -> Result<Vec<u8>, String> {
    let output = Command::new(PROGRAM)
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => format!("there is no program {PROGRAM}"),
            _ => format!("{PROGRAM}: {error}"),
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().next().unwrap_or("it failed without a word");
    Err(format!("{PROGRAM}: {line}"))
}
