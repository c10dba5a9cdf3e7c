//! Why a configuration cannot be used.

use std::path::Path;

use super::environment_file::SyntaxError;

/// A value, or a description of a valid one.
pub type Parsed<T> = Result<T, &'static str>;

/// Why a configuration file cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{path}:{line}: {problem}")]
pub struct ConfigError {
    /// The file.
    pub path: String,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong with a line of a configuration file.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// It is not an assignment.
    #[error("{0}; a line is KEY=VALUE, empty, or a comment after #")]
    Syntax(String),
    /// The value does not fit its key.
    #[error("{key} is {value:?}, but must be {expected}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Another setting is the opposite.
    #[error("{key}=1 and {other} exclude each other; remove one of them")]
    Conflict {
        /// The key.
        key: &'static str,
        /// The other setting.
        other: &'static str,
    },
    /// A flag in `EXTRA_NSPAWN_FLAGS` cannot be used.
    #[error("EXTRA_NSPAWN_FLAGS: {0}")]
    Flag(FlagError),
}

impl ConfigError {
    pub(super) fn new(path: &Path, line: usize, problem: Problem) -> Self {
        let path = path.display().to_string();
        Self {
            path,
            line,
            problem,
        }
    }

    pub(super) fn syntax(path: &Path, error: SyntaxError) -> Self {
        Self::new(path, error.line, Problem::Syntax(error.problem))
    }
}

/// Why a flag of systemd-nspawn(1) cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum FlagError {
    /// The value does not fit the flag, or is missing.
    #[error("{flag} is {value:?}, but must be {expected}")]
    Value {
        /// The flag as it was written.
        flag: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The flag takes no value.
    #[error("{flag} takes no value, but is {value:?}")]
    Superfluous {
        /// The flag.
        flag: String,
        /// The value.
        value: String,
    },
    /// The flag is not in the table.
    #[error("{0} is not a flag of systemd-nspawn(1) that containers support")]
    Unknown(String),
    /// A word stands where a flag is expected.
    #[error("{0:?} is not a flag; blanks separate words that do not stand in quotes")]
    Word(String),
    /// A word begins with a quote that does not end with it.
    #[error("{0:?} has a quote that does not end with its word")]
    Quote(String),
}
