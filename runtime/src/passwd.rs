//! Accounts of a container, `man 5 passwd`.

use std::path::PathBuf;

/// What a login needs of a line.
#[derive(Debug, PartialEq)]
pub struct Account {
    pub name: String,
    pub home: PathBuf,
    pub shell: PathBuf,
}

impl Account {
    /// The account of a line, if that is root's and lets it log in.
    pub fn parse_root(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split(':').collect();
        let &[name, _, "0", _, _, home, shell] = fields.as_slice() else {
            return None;
        };
        if name != "root" || shell.is_empty() {
            return None;
        }
        Some(Self {
            name: name.to_owned(),
            home: home.into(),
            shell: shell.into(),
        })
    }
}
