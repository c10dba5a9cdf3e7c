//! What a container has as `/`, in the words of systemd-nspawn(1) and NixOS.

use std::path::PathBuf;

use runtime::{Root, RootTree};

use super::values::Parsed;

/// What is asked of a container's root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RootConfig {
    /// `EPHEMERAL`: empty at every start.
    pub ephemeral: bool,
    /// `--ephemeral`: the root directory as it is at every start.
    pub snapshot: bool,
    /// `--read-only`
    pub read_only: bool,
    /// `--volatile`
    pub volatile: Volatile,
}

/// What of a container lasts, `--volatile=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Volatile {
    /// All of it.
    #[default]
    No,
    /// Nothing but `/usr`, which cannot be changed.
    Yes,
    /// Nothing of `/var`. The rest cannot be changed.
    State,
    /// No change.
    Overlay,
}

impl Volatile {
    /// The value of `--volatile=`.
    pub fn parse(text: &str) -> Parsed<Self> {
        match text {
            "no" => Ok(Self::No),
            "yes" => Ok(Self::Yes),
            "state" => Ok(Self::State),
            "overlay" => Ok(Self::Overlay),
            _ => Err("yes, no, state or overlay"),
        }
    }
}

impl RootConfig {
    /// What is made of the root directory. Where changes are in memory anyway,
    /// `--read-only` says no more than that of the directory itself. Its owners
    /// are those on the disk.
    pub fn over(self, directory: PathBuf) -> Root {
        let tree = match self.volatile {
            _ if self.ephemeral => RootTree::Empty,
            Volatile::Yes => RootTree::Usr,
            Volatile::Overlay => RootTree::Snapshot,
            Volatile::No | Volatile::State if self.snapshot => RootTree::Snapshot,
            Volatile::No | Volatile::State => RootTree::Directory,
        };
        Root {
            directory,
            tree,
            map_owners: false,
            read_only: match self.volatile {
                Volatile::No => self.read_only,
                Volatile::State => true,
                Volatile::Yes | Volatile::Overlay => false,
            },
            empty_var: self.volatile == Volatile::State,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_together_mean_what_they_mean_to_nspawn() {
        let root = |tree, read_only, empty_var| Root {
            directory: "/foo".into(),
            tree,
            map_owners: false,
            read_only,
            empty_var,
        };
        let config = RootConfig::default();
        let read_only = RootConfig {
            read_only: true,
            ..config
        };
        let snapshot = RootConfig {
            snapshot: true,
            ..config
        };
        let volatile = |volatile, config| RootConfig { volatile, ..config };
        for (config, expected) in [
            (config, root(RootTree::Directory, false, false)),
            (read_only, root(RootTree::Directory, true, false)),
            (snapshot, root(RootTree::Snapshot, false, false)),
            (
                volatile(Volatile::State, config),
                root(RootTree::Directory, true, true),
            ),
            (
                volatile(Volatile::State, snapshot),
                root(RootTree::Snapshot, true, true),
            ),
            (
                volatile(Volatile::Yes, read_only),
                root(RootTree::Usr, false, false),
            ),
            (
                volatile(Volatile::Overlay, read_only),
                root(RootTree::Snapshot, false, false),
            ),
            (
                RootConfig {
                    ephemeral: true,
                    ..snapshot
                },
                root(RootTree::Empty, false, false),
            ),
        ] {
            assert_eq!(config.over("/foo".into()), expected, "{config:?}");
        }
    }
}
