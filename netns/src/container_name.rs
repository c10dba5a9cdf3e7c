//! Names of containers.

use std::fmt;
use std::str::FromStr;

/// Length of the longest name, in bytes: the container's host name is its name,
/// and has at most 64 bytes (sethostname(2)).
const LONGEST: usize = 64;

/// A container's name: 1 to 64 bytes of `[A-Za-z0-9_-]` that begin with a
/// letter or a digit, after any `_`, so that it is safe in a path, in the names of links and
/// units, and as a host name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

/// Why a text is not a container's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerNameError {
    /// The text is empty.
    #[error("a container's name has at least one character")]
    Empty,
    /// The text has this many bytes.
    #[error("a container's name has at most {LONGEST} characters, this one has {0}")]
    TooLong(usize),
    /// The text has this character.
    #[error("a container's name consists of letters, digits, - and _, not {0:?}")]
    Character(char),
    /// The text begins with `-`, or has no letter or digit after `_`.
    #[error("a container's name begins with a letter or a digit, after any _")]
    Beginning,
}

impl ContainerName {
    /// Validates `name`.
    ///
    /// # Errors
    ///
    /// [`ContainerNameError`]
    pub fn new(name: &str) -> Result<Self, ContainerNameError> {
        if name.is_empty() {
            return Err(ContainerNameError::Empty);
        }
        if name.len() > LONGEST {
            return Err(ContainerNameError::TooLong(name.len()));
        }
        let is_valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if let Some(wrong) = name.chars().find(|c| !is_valid(*c)) {
            return Err(ContainerNameError::Character(wrong));
        }
        let after = name.trim_start_matches('_');
        if !after.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(ContainerNameError::Beginning);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = ContainerNameError;

    fn from_str(text: &str) -> Result<Self, ContainerNameError> {
        Self::new(text)
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn safe_names_are_accepted() {
        for name in ["a", "0", "foo", "Foo-bar_9", "_x", "__0", &"x".repeat(64)] {
            assert_eq!(ContainerName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn unsafe_names_are_refused() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc",
            "a b",
            "-rf",
            "_",
            "_-x",
            "a.conf",
            "a~b",
            "ä",
            "a\n",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(ContainerName::new(name).is_err(), "{name:?}");
        }
    }
}
