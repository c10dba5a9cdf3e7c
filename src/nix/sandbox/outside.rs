//! Paths of the host that an evaluation has asked for.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// The number of paths that a message names.
const MOST: usize = 3;

/// The paths of the host that Nix' output quotes as the cause of an error, and that the
/// sandbox does not show. The configuration can make Nix print anything: a path here
/// means nothing but that it was printed.
pub(super) fn named(log: &str, is_shown: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let paths: BTreeSet<_> = log
        .lines()
        .filter(|line| line.contains("error:"))
        .flat_map(quoted)
        .filter(|path| is_plain(path) && !is_shown(path) && path.symlink_metadata().is_ok())
        .collect();
    paths.into_iter().take(MOST).collect()
}

/// The absolute paths between quotation marks of Nix (2.8: `'…'`).
fn quoted(line: &str) -> impl Iterator<Item = PathBuf> {
    let pieces = line.split('\'').skip(1).step_by(2);
    pieces
        .filter(|piece| piece.starts_with('/'))
        .map(PathBuf::from)
}

/// Whether every component of the path is a name.
fn is_plain(path: &Path) -> bool {
    let mut components = path.components().skip(1);
    components.all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_errors_that_exist_and_are_not_shown() {
        let log = "trace: '/proc'\nerror: getting status of '/etc': No such file or directory\n\
                   error: opening file '/usr/lib/x': y\nerror: '/no such' and '/usr/../root'\n";
        let shown = |path: &Path| path.starts_with("/usr");
        assert_eq!(named(log, shown), [Path::new("/etc")]);
    }
}
