//! The progress of long work, at a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;

use super::printable::plain;

/// A line about the work that is done; removed when dropped. Without a terminal
/// as standard error, nothing is shown.
pub struct Progress {
    bar: ProgressBar,
    what: String,
}

impl Progress {
    /// Shows the work as `what`.
    pub fn new(what: String) -> Self {
        let what = plain(&what);
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.set_message(what.clone());
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, what }
    }

    /// Adds how far the work has come.
    pub fn say(&self, status: Option<&str>) {
        match status {
            Some(status) => self
                .bar
                .set_message(format!("{}: {}", self.what, plain(status))),
            None => self.bar.set_message(self.what.clone()),
        }
    }

    /// Prints a line that stays.
    pub fn print(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
