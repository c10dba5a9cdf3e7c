//! What a person at a terminal sees of work that takes longer than a moment.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressBar;

/// A line that says what is going on; gone when dropped. Nothing at all where
/// standard error is no terminal: scripts want results.
pub struct Progress {
    bar: ProgressBar,
    what: String,
}

impl Progress {
    /// Shows `what` is being done.
    pub fn new(what: String) -> Self {
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

    /// Adds a word on how far it has come.
    pub fn say(&self, status: Option<&str>) {
        match status {
            Some(status) => self.bar.set_message(format!("{}: {status}", self.what)),
            None => self.bar.set_message(self.what.clone()),
        }
    }

    /// A line of its own, that stays.
    pub fn print(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
