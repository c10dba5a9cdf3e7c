//! Why a configuration cannot be used.

/// A value, or a description of a valid one.
pub type Parsed<T> = Result<T, &'static str>;

/// Why a configuration file cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A line is not an assignment.
    #[error("{path}:{line}: {problem}; a line is KEY=VALUE, empty, or a comment after #")]
    Syntax {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A value does not fit its key.
    #[error("{path}:{line}: {key} is {value:?}, but must be {expected}")]
    Value {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A flag in `EXTRA_NSPAWN_FLAGS` cannot be used.
    #[error("{path}:{line}: EXTRA_NSPAWN_FLAGS: {error}")]
    Flag {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// Which flag, and what is wrong with it.
        error: FlagError,
    },
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
    #[error("{0:?} is not a flag; blanks separate words, and quotes do not hold them together")]
    Word(String),
}
