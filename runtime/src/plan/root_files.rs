//! The files that are made in the root directory itself.

use std::path::PathBuf;

use super::step::{FileStep, Step};
use super::steps::{bind, directory, symlink};
use crate::spec::mount_attributes::{Attributes, Origin};
use crate::spec::{LocalTime, ResolvConf, Spec};

/// The files that init expects in the root directory itself.
pub(super) fn root_files(spec: &Spec) -> Vec<Step> {
    let directories = spec.directories.iter();
    let directories = directories.map(|made| directory(&made.path, made.mode));
    let empty_files = spec
        .empty_files
        .iter()
        .map(|path| Step::File(FileStep::EmptyFile { path: path.clone() }));
    directories
        .chain(empty_files)
        .chain(resolv_conf(&spec.resolv_conf))
        .chain(local_time(&spec.local_time))
        .collect()
}

fn local_time(change: &LocalTime) -> Vec<Step> {
    let path = PathBuf::from("/etc/localtime");
    match change {
        LocalTime::Leave => Vec::new(),
        LocalTime::Copy(source) => vec![Step::File(FileStep::CopyFile {
            source: source.clone(),
            path,
        })],
        LocalTime::Bind(source) => {
            let attributes = Attributes {
                read_only: true,
                ..Attributes::DATA
            };
            vec![bind(Origin::Host, source, path, attributes)]
        }
        LocalTime::Symlink(target) => vec![
            Step::File(FileStep::RemoveFile { path: path.clone() }),
            symlink(path, target),
        ],
        LocalTime::Remove => vec![Step::File(FileStep::RemoveFile { path })],
    }
}

fn resolv_conf(change: &ResolvConf) -> Option<Step> {
    let path = "/etc/resolv.conf".into();
    match change {
        ResolvConf::Leave => None,
        ResolvConf::Write(contents) => Some(Step::File(FileStep::File {
            path,
            contents: contents.clone(),
            mode: 0o644,
        })),
        ResolvConf::Remove => Some(Step::File(FileStep::RemoveFile { path })),
    }
}
