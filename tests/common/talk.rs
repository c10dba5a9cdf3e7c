//! Programs that a test talks with, at a terminal or without.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;

use super::{Host, PATIENCE};

/// A program that one talks with.
pub struct Talk {
    child: Child,
    pub input: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// What it said that no test has listened to.
    said: Vec<u8>,
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
        let mut stdout = child.stdout.take().expect("piped");
        // What runs inside may keep the output open when the command is gone.
        let (sender, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                let _ = sender.send(buffer[..length].to_vec());
            }
        });
        Self {
            input: child.stdin.take().expect("piped"),
            child,
            output,
            said: Vec::new(),
        }
    }

    /// What follows these words in the next line that has them.
    pub fn hear(&mut self, words: &str) -> String {
        let mut heard = Vec::new();
        loop {
            let Some(line) = self.line() else {
                self.listen(words, &heard);
                continue;
            };
            if let Some((_, rest)) = line.split_once(words) {
                return rest.to_owned();
            }
            heard.push(line);
        }
    }

    /// Waits for these words, as a prompt has them: no end of a line need
    /// follow.
    pub fn await_words(&mut self, words: &str) {
        loop {
            let said = String::from_utf8_lossy(&self.said).into_owned();
            if let Some((_, rest)) = said.split_once(words) {
                self.said = rest.as_bytes().to_vec();
                return;
            }
            self.listen(words, &[said]);
        }
    }

    /// The next whole line that was said.
    fn line(&mut self) -> Option<String> {
        let end = self.said.iter().position(|byte| *byte == b'\n')?;
        let line: Vec<_> = self.said.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line[..end]);
        Some(line.trim_end_matches('\r').to_owned())
    }

    fn listen(&mut self, words: &str, heard: &[String]) {
        match self.output.recv_timeout(PATIENCE) {
            Ok(said) => self.said.extend(said),
            Err(error) => {
                let said = String::from_utf8_lossy(&self.said);
                panic!("no {words:?}, {error}, in: {heard:#?} {said:?}")
            }
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
        loop {
            match self.output.recv_timeout(PATIENCE) {
                Ok(said) => self.said.extend(said),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(error) => panic!("{error} after {:?}", self.said),
            }
        }
        let said = String::from_utf8_lossy(&self.said);
        let lines = said.lines().map(str::to_owned);
        (code, lines.collect())
    }

    /// Leaves a container by the keys for that, and hears it out.
    pub fn leave(mut self) -> (Option<i32>, Vec<String>) {
        self.input.write_all(b"\x1d\x1d\x1d").expect("it listens");
        self.end()
    }
}

/// A shell script at a terminal of 33 lines and 111 columns.
pub fn at_terminal(host: &Host, script: &str) -> Command {
    let mut command = host.command("script");
    let script = format!("stty rows 33 cols 111\n{script}");
    command.args(["--quiet", "--return", "--command", &script, "/dev/null"]);
    command
}
