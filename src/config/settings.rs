//! Settings of a configuration file that a command writes. What reads the file checks
//! their values.

use std::path::Path;

use super::read::FLAGS;
use super::{ConfigError, ContainerConfig, FlagError, environment_file, nspawn_flags};

/// The place of a setting in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The value of this key.
    Key(&'static str),
    /// An element in the value of this key; the text separates elements.
    List(&'static str, &'static str),
    /// The value of this flag in `EXTRA_NSPAWN_FLAGS`.
    Flag(&'static str),
    /// Flags in `EXTRA_NSPAWN_FLAGS`.
    Flags,
}

/// A setting with a valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    place: Place,
    value: String,
}

impl Setting {
    /// Checks a value.
    ///
    /// # Errors
    ///
    /// A description of a valid value, or of the flag that is wrong.
    pub fn new(place: Place, value: &str) -> Result<Self, String> {
        let setting = Self {
            place,
            value: value.to_owned(),
        };
        let mut config = ContainerConfig::default();
        match place {
            Place::Key(key) | Place::List(key, _) => config.set(key, value).map_err(expected)?,
            Place::Flag(_) | Place::Flags => {
                let added = config.add_flags(&setting.flags());
                added.map_err(|error| match (place, error) {
                    (Place::Flag(_), FlagError::Value { expected: text, .. }) => expected(text),
                    (_, error) => error.to_string(),
                })?;
            }
        }
        Ok(setting)
    }

    fn key(&self) -> &'static str {
        match self.place {
            Place::Key(key) | Place::List(key, _) => key,
            Place::Flag(_) | Place::Flags => FLAGS,
        }
    }

    /// What separates it from an earlier setting of the same key; `None` if it replaces
    /// that.
    fn separator(&self) -> Option<&'static str> {
        match self.place {
            Place::Key(_) => None,
            Place::List(_, separator) => Some(separator),
            Place::Flag(_) | Place::Flags => Some(" "),
        }
    }

    /// Its words in `EXTRA_NSPAWN_FLAGS`.
    fn flags(&self) -> String {
        match self.place {
            Place::Flag(flag) => nspawn_flags::join([format!("{flag}={}", self.value).as_str()]),
            _ => self.value.clone(),
        }
    }
}

fn expected(text: &str) -> String {
    format!("expected {text}")
}

impl ContainerConfig {
    /// The contents of a configuration file, with these settings.
    ///
    /// # Errors
    ///
    /// A line that is not an assignment; `path` is for its message.
    pub fn with_settings(
        path: &Path,
        text: &str,
        settings: &[Setting],
    ) -> Result<String, ConfigError> {
        let mut lines: Vec<(&str, String)> = Vec::new();
        for setting in settings {
            let key = setting.key();
            let value = setting.flags();
            let line = lines.iter_mut().find(|(of, _)| *of == key);
            match (line, setting.separator()) {
                (Some((_, values)), Some(separator)) => *values += &format!("{separator}{value}"),
                (Some((_, earlier)), None) => *earlier = value,
                (None, _) => lines.push((key, value)),
            }
        }
        lines
            .iter()
            .try_fold(text.to_owned(), |text, (key, value)| {
                environment_file::set(&text, key, Some(value))
                    .map_err(|error| ConfigError::syntax(path, error))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(place: Place, value: &str) -> Setting {
        Setting::new(place, value).expect(value)
    }

    #[test]
    fn settings_become_lines_that_are_read_back() {
        let settings = [
            setting(Place::Key("MEMORY_MAX"), "1G"),
            setting(Place::List("TMPFS", " "), "/a"),
            setting(Place::Flag("--bind"), "/a b:/c"),
            setting(Place::List("TMPFS", " "), "/b"),
            setting(Place::Flags, "-n '--setenv=A=b c'"),
            setting(Place::Key("MEMORY_MAX"), "2G"),
        ];
        let path = Path::new("foo.conf");
        let text = ContainerConfig::with_settings(path, "NAT=1\n", &settings).expect("valid");
        assert_eq!(
            text,
            "NAT=1\nMEMORY_MAX=2G\nTMPFS=\"/a /b\"\n\
             EXTRA_NSPAWN_FLAGS=\"\\\"--bind=/a b:/c\\\" -n '--setenv=A=b c'\"\n"
        );
        let config = ContainerConfig::parse(path, &text).expect("valid");
        assert_eq!(config.mounts.len(), 3);
        assert_eq!(config.execution.environment.len(), 1);
    }

    #[test]
    fn an_error_says_what_is_expected() {
        let error = |place, value| Setting::new(place, value).expect_err(value);
        assert_eq!(error(Place::Key("NAT"), "yes"), "expected 0 or 1");
        assert!(error(Place::Flag("--bind"), "a").starts_with("expected SOURCE["));
        assert!(error(Place::Flags, "--bind=a").starts_with("--bind is \"a\", but must be"));
        assert!(error(Place::Flags, "--fly").contains("--fly is not a flag"));
    }
}
