//! A container's root file system, in the terms of systemd-nspawn(1) and NixOS.

use std::path::PathBuf;

use runtime::{Root, RootTree};

use super::error::Parsed;

/// Options of a container's root file system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RootConfig {
    /// `EPHEMERAL`: it is empty at every start.
    pub ephemeral: bool,
    /// `--ephemeral`: changes are lost at the end.
    pub snapshot: bool,
    /// `--read-only`: it cannot be changed.
    pub read_only: bool,
    /// `--volatile`: the parts of it that are lost at the end.
    pub volatile: Volatile,
}

/// The value of `--volatile=`: the parts that last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Volatile {
    /// Everything.
    #[default]
    No,
    /// `/usr`, which is read-only. The rest is empty at every start.
    Yes,
    /// Everything but `/var`, which is empty at every start. The rest is read-only.
    State,
    /// The root directory as it is; changes are lost.
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
    /// The root of a container with this root directory. If changes are in memory,
    /// `--read-only` is about the directory, which then never changes anyway. The
    /// owners are those on the disk.
    pub fn to_root(self, directory: PathBuf) -> Root {
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
    fn combined_options_mean_the_same_as_for_nspawn() {
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
            assert_eq!(config.to_root("/foo".into()), expected, "{config:?}");
        }
    }
}
