//! Short constructors of steps.

use std::path::{Path, PathBuf};

use super::step::{FileStep, MountStep, Step};
use crate::spec::mount_attributes::{Attributes, Origin, Owners};

pub(super) fn mount(fstype: &str, target: &str, attributes: Attributes, parameters: &str) -> Step {
    Step::Mount(MountStep::Mount {
        fstype: fstype.to_owned(),
        target: target.into(),
        attributes,
        options: options(parameters),
    })
}

pub(super) fn tmpfs(target: &str, attributes: Attributes, parameters: &str) -> Step {
    mount("tmpfs", target, attributes, parameters)
}

/// Parameters of a file system as `mount(8)` takes them.
pub(super) fn options(parameters: &str) -> Vec<(String, String)> {
    let pairs = parameters
        .split(',')
        .filter_map(|word| word.split_once('='));
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(super) fn restrict(target: &str, attributes: Attributes) -> Step {
    Step::Mount(MountStep::Restrict {
        target: target.into(),
        attributes,
    })
}

pub(super) fn bind(
    origin: Origin,
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    attributes: Attributes,
) -> Step {
    Step::Mount(MountStep::Bind {
        origin,
        source: source.as_ref().into(),
        target: target.as_ref().into(),
        recursive: false,
        attributes,
        owners: Owners::OnDisk,
        optional: false,
    })
}

pub(super) fn bind_if_present(
    origin: Origin,
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    attributes: Attributes,
) -> Step {
    let mut step = bind(origin, source, target, attributes);
    if let Step::Mount(MountStep::Bind { optional, .. }) = &mut step {
        *optional = true;
    }
    step
}

/// A file that kernels need not have is hidden if it exists.
pub(super) fn hide(target: PathBuf) -> Step {
    Step::Mount(MountStep::Hide {
        target,
        optional: true,
    })
}

pub(super) fn file(path: PathBuf, contents: &str) -> Step {
    Step::File(FileStep::File {
        path,
        contents: contents.to_owned(),
        mode: 0o444,
    })
}

pub(super) fn directory(path: impl Into<PathBuf>, mode: u32) -> Step {
    let path = path.into();
    Step::File(FileStep::Directory { path, mode })
}

pub(super) fn symlink(path: PathBuf, target: impl Into<PathBuf>) -> Step {
    let target = target.into();
    Step::File(FileStep::Symlink { path, target })
}
