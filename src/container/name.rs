//! A container's name, validated once at the edge.

use std::fmt;
use std::str::FromStr;

/// A name of 1 to 64 bytes of `[A-Za-z0-9_-]` that begins with a letter or a
/// digit: safe in a path, a unit's name, a host name and a link's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerName(String);

/// The host name inside is the container's, and has at most 64 bytes
/// (`man 2 sethostname`).
const LONGEST: usize = 64;

impl ContainerName {
    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ContainerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a container's name has at least one character".to_owned());
        }
        if text.len() > LONGEST {
            return Err(format!(
                "a container's name has at most {LONGEST} characters, this one has {}",
                text.len()
            ));
        }
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if let Some(wrong) = text.chars().find(|c| !valid(*c)) {
            return Err(format!(
                "a container's name consists of letters, digits, - and _, not {wrong:?}"
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err("a container's name begins with a letter or a digit".to_owned());
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_safe_everywhere_pass() {
        for name in ["a", "0", "foo", "Foo-bar_9", &"x".repeat(64)] {
            assert_eq!(
                name.parse::<ContainerName>().map(|n| n.0),
                Ok(name.to_owned())
            );
        }
    }

    #[test]
    fn names_that_could_lead_elsewhere_do_not() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            "/etc",
            "a b",
            "-rf",
            "_x",
            "a.conf",
            "ä",
            "a\n",
            "a\0",
            &"x".repeat(65),
        ] {
            assert!(name.parse::<ContainerName>().is_err(), "{name:?}");
        }
    }
}
