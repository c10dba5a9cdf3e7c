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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::plan::plan;
    use crate::plan::step::{FileStep, ProcessStep};
    use crate::plan::tests::{position, spec};
    use crate::spec::{Directory, Network, Spec};

    const TREES: [RootTree; 4] = [
        RootTree::Directory,
        RootTree::Snapshot,
        RootTree::Empty,
        RootTree::Usr,
    ];

    fn with_root(tree: RootTree, read_only: bool) -> Spec {
        let mut spec = spec(Network::Private);
        (spec.root.tree, spec.root.read_only) = (tree, read_only);
        spec
    }

    #[test]
    fn every_path_is_resolved_below_the_containers_own_root() {
        for tree in TREES {
            let steps = plan(&with_root(tree, false)).steps;
            let root = position(&steps, |step| {
                matches!(
                    step,
                    Step::Mount(MountStep::BindRoot { .. })
                        | Step::Mount(MountStep::EmptyRoot { .. })
                        | Step::Mount(MountStep::OverlayRoot { .. })
                )
            });
            assert!(steps[..root].iter().all(|step| matches!(
                step,
                Step::Process(ProcessStep::DieWithSupervisor)
                    | Step::Process(ProcessStep::UnshareCgroup)
                    | Step::Mount(MountStep::SetPropagation { .. })
            )));
            let pivot = position(&steps, |step| *step == Step::Mount(MountStep::PivotRoot));
            assert_eq!(
                steps[pivot + 1],
                Step::Mount(MountStep::DetachHost),
                "{tree:?}"
            );
        }
    }

    #[test]
    fn a_root_becomes_read_only_when_all_is_made_in_it() {
        for tree in TREES {
            let steps = plan(&with_root(tree, true)).steps;
            let restricted = Step::Mount(MountStep::Restrict {
                target: "/".into(),
                attributes: Attributes::READ_ONLY,
            });
            let restricted = position(&steps, |step| *step == restricted);
            assert_eq!(
                steps[restricted + 1],
                Step::Mount(MountStep::PivotRoot),
                "{tree:?}"
            );
        }
    }

    #[test]
    fn a_covered_root_directory_shows_only_its_usr() {
        let origins = |tree| {
            let steps = plan(&with_root(tree, false)).steps;
            let bound = steps.into_iter().filter_map(|step| match step {
                Step::Mount(MountStep::Bind {
                    origin: Origin::RootDirectory,
                    source,
                    attributes,
                    ..
                }) => Some((source, attributes.read_only)),
                _ => None,
            });
            bound.collect::<Vec<_>>()
        };
        assert_eq!(origins(RootTree::Empty), []);
        assert_eq!(origins(RootTree::Usr), [("/usr".into(), true)]);
    }

    #[test]
    fn an_empty_var_is_mounted_before_files_are_made_in_it() {
        let mut spec = spec(Network::Private);
        spec.root.empty_var = true;
        spec.directories = vec![Directory {
            path: "/var/lib".into(),
            mode: 0o755,
        }];
        let steps = plan(&spec).steps;
        let var = position(
            &steps,
            |step| matches!(step, Step::Mount(MountStep::Mount { target, .. }) if target == Path::new("/var")),
        );
        let directory = position(
            &steps,
            |step| matches!(step, Step::File(FileStep::Directory { path, .. }) if path == Path::new("/var/lib")),
        );
        assert!(var < directory);
    }
}
