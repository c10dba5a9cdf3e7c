//! What becomes `/`.

use super::steps::mount;
use crate::spec::{Root, RootTree};
use crate::step::{Attributes, Origin, Owners, Step};

/// As much of the machine's memory as systemd-nspawn gives a root or a `/var`,
/// and NixOS a host's `/run`.
const LIMITS: [(&str, &str); 3] = [("mode", "755"), ("size", "25%"), ("nr_inodes", "1m")];

pub(super) fn root(root: &Root) -> Vec<Step> {
    let directory = root.directory.clone();
    let options = LIMITS.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut steps = match root.tree {
        RootTree::Directory => vec![Step::BindRoot {
            source: directory,
            map_owners: root.map_owners,
            read_only_below: root.read_only,
        }],
        RootTree::Snapshot => vec![Step::OverlayRoot {
            lower: directory,
            map_owners: root.map_owners,
            options: options.into(),
        }],
        RootTree::Empty => vec![Step::EmptyRoot {
            directory,
            options: options.into(),
        }],
        RootTree::Usr => vec![
            Step::EmptyRoot {
                directory,
                options: options.into(),
            },
            Step::Bind {
                origin: Origin::RootDirectory,
                source: "/usr".into(),
                target: "/usr".into(),
                recursive: true,
                attributes: Attributes::READ_ONLY,
                owners: Owners::mapped(root.map_owners),
                optional: true,
            },
        ],
    };
    if root.empty_var {
        steps.push(mount("tmpfs", "/var", Attributes::NONE, &LIMITS));
    }
    steps
}

/// After everything that is made in it.
pub(super) fn finish_root(root: &Root) -> Vec<Step> {
    let read_only = root.read_only.then(|| Step::Restrict {
        target: "/".into(),
        attributes: Attributes::READ_ONLY,
    });
    read_only.into_iter().collect()
}
