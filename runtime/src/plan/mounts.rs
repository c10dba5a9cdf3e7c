//! What the administrator has mounted inside.

use std::path::PathBuf;

use crate::spec::{Bind, Content, Mount};
use crate::step::Step;

pub(super) fn mounted(mount: &Mount) -> Step {
    let target = mount.target.clone();
    match &mount.content {
        Content::Bind(bind) => bound(bind, target),
        Content::Tmpfs {
            attributes,
            options,
        } => Step::Mount {
            fstype: "tmpfs".to_owned(),
            target,
            attributes: *attributes,
            options: options.clone(),
        },
        Content::Overlay { lower, upper } => Step::Overlay {
            lower: lower.clone(),
            upper: upper.clone(),
            target,
        },
        Content::Inaccessible => Step::Hide {
            target,
            optional: false,
        },
    }
}

fn bound(bind: &Bind, target: PathBuf) -> Step {
    Step::Bind {
        origin: bind.origin,
        source: bind.source.clone(),
        target,
        recursive: bind.recursive,
        attributes: bind.attributes,
        optional: false,
    }
}
