//! Programs that a test talks with, at a terminal or without.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use super::{Host, PATIENCE};

/// A program that one talks with line by line.
pub struct Talk {
    child: Child,
    pub input: ChildStdin,
    lines: Receiver<String>,
}

impl Talk {
    /// Runs a command that is killed when it is stuck.
    pub fn begin(command: &Command) -> Self {
        let mut child = Command::new("timeout")
            .arg("--signal=KILL")
            .arg(PATIENCE.as_secs().to_string())
            .arg(command.get_program())
            .args(command.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        // What runs inside may keep the output open when the command is gone.
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line.trim_end_matches('\r').to_owned());
            }
        });
        Self {
            input: child.stdin.take().expect("piped"),
            child,
            lines,
        }
    }

    /// What follows these words in the next line that has them.
    pub fn hear(&mut self, words: &str) -> String {
        let mut heard = Vec::new();
        loop {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(error) => panic!("no {words:?}, {error}, in: {heard:#?}"),
            };
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
            heard.push(line);
        }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it listens");
    }

    /// Closes its input and hears it out; its exit code and the lines that are
    /// left.
    pub fn end(mut self) -> (Option<i32>, Vec<String>) {
        drop(self.input);
        let code = self.child.wait().expect("waitable").code();
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => return (code, rest),
                Err(error) => panic!("{error} after {rest:#?}"),
            }
        }
    }
}

/// A shell script at a terminal of 33 lines and 111 columns.
pub fn at_terminal(host: &Host, script: &str) -> Command {
    let mut command = host.command("script");
    let script = format!("stty rows 33 cols 111\n{script}");
    command.args(["--quiet", "--return", "--command", &script, "/dev/null"]);
    command
}
