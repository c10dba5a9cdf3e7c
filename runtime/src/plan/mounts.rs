//! The mounts that the administrator has configured.

use std::path::PathBuf;

use super::step::{MountStep, Step};
use crate::spec::idmap::IdMap;
use crate::spec::{Bind, Content, Mount};

pub(super) fn mounted(mount: &Mount, ids: Option<IdMap>) -> Step {
    let target = mount.target.clone();
    match &mount.content {
        Content::Bind(bind) => bound(bind, target),
        Content::Tmpfs {
            attributes,
            options,
        } => Step::Mount(MountStep::Mount {
            fstype: "tmpfs".to_owned(),
            target,
            attributes: *attributes,
            options: options.iter().map(|option| on_host(option, ids)).collect(),
        }),
        Content::Overlay { lower, upper } => Step::Mount(MountStep::Overlay {
            lower: lower.clone(),
            upper: upper.clone(),
            target,
        }),
        Content::Selection(selection) => Step::Mount(MountStep::Selection {
            directory: selection.directory.clone(),
            names: selection.names.clone(),
            map_owners: selection.map_owners,
            target,
        }),
        Content::Inaccessible => Step::Mount(MountStep::Hide {
            target,
            optional: false,
        }),
    }
}

/// Parameters have ids inside, but the file system is mounted from outside of the
/// user namespace. An id that is not mapped belongs to `nobody` inside either way.
fn on_host((key, value): &(String, String), ids: Option<IdMap>) -> (String, String) {
    let id = ["uid", "gid"]
        .contains(&key.as_str())
        .then(|| value.parse().ok())
        .flatten();
    let on_host = ids.zip(id).and_then(|(ids, id)| ids.to_host(id));
    let value = on_host.map_or_else(|| value.clone(), |id| id.to_string());
    (key.clone(), value)
}

fn bound(bind: &Bind, target: PathBuf) -> Step {
    Step::Mount(MountStep::Bind {
        origin: bind.origin,
        source: bind.source.clone(),
        target,
        recursive: bind.recursive,
        attributes: bind.attributes,
        owners: bind.owners,
        optional: false,
    })
}
