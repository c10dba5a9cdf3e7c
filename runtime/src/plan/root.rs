//! The steps that make the container's `/`.

use super::step::{MountStep, Step};
use super::steps::{options, tmpfs};
use crate::spec::mount_attributes::{Attributes, Origin, Owners};
use crate::spec::{Root, RootTree};

/// The share of the machine's memory that systemd-nspawn gives to a root or a
/// `/var`, and NixOS to a host's `/run`.
const LIMITS: &str = "mode=755,size=25%,nr_inodes=1m";

pub(super) fn root(root: &Root) -> Vec<Step> {
    let directory = root.directory.clone();
    let options = options(LIMITS);
    let mut steps = match root.tree {
        RootTree::Directory => vec![Step::Mount(MountStep::BindRoot {
            source: directory,
            map_owners: root.map_owners,
            read_only_below: root.read_only,
        })],
        RootTree::Snapshot => vec![Step::Mount(MountStep::OverlayRoot {
            lower: directory,
            map_owners: root.map_owners,
            options,
        })],
        RootTree::Empty => vec![Step::Mount(MountStep::EmptyRoot { directory, options })],
        RootTree::Usr => vec![
            Step::Mount(MountStep::EmptyRoot { directory, options }),
            Step::Mount(MountStep::Bind {
                origin: Origin::RootDirectory,
                source: "/usr".into(),
                target: "/usr".into(),
                recursive: true,
                attributes: Attributes::READ_ONLY,
                owners: Owners::mapped(root.map_owners),
                optional: true,
            }),
        ],
    };
    if root.empty_var {
        steps.push(tmpfs("/var", Attributes::NONE, LIMITS));
    }
    steps
}
