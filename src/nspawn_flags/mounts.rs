//! Flags that say what file systems the container sees.

use super::{Flag, Meaning};
use crate::config::CustomMount;

/// A flag about file systems.
#[derive(Debug, Clone, PartialEq)]
pub enum MountFlag {
    /// `--bind=SOURCE[:TARGET[:OPTIONS]]`, `--bind-ro=`,
    /// `--tmpfs=PATH[:OPTIONS]`
    Custom(CustomMount),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    Some(match flag {
        "--bind" => Meaning::With(|value| CustomMount::bind(value, false).map(custom)),
        "--bind-ro" => Meaning::With(|value| CustomMount::bind(value, true).map(custom)),
        "--tmpfs" => Meaning::With(|value| CustomMount::tmpfs(value).map(custom)),
        _ => return None,
    })
}

fn custom(mount: CustomMount) -> Flag {
    Flag::Mounts(MountFlag::Custom(mount))
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn a_bad_value_is_answered_with_what_is_expected() {
        let bind = "SOURCE[:TARGET[:OPTIONS]] with absolute paths, as /srv/data:/data";
        let bind_options = "options of rbind, norbind, noidmap, ro, nosuid, nodev, noexec behind \
                            its second colon";
        let tmpfs = "PATH[:OPTIONS] with an absolute path, as /var/cache:size=100m";
        let tmpfs_options = "options of size=, nr_blocks=, nr_inodes=, mode=, uid=, gid=, huge=, \
                             mpol=, noswap, inode32, inode64, ro, nosuid, nodev, noexec behind \
                             its first colon";
        for (flag, value, expected) in [
            ("--bind", "", bind),
            ("--bind", "data", bind),
            ("--bind", "/a:", bind),
            ("--bind", "/a:b", bind),
            ("--bind-ro", ":", bind),
            ("--bind-ro", "++/a", bind),
            ("--bind-ro", "/a:/b/../c", bind),
            ("--bind", "/a\\", bind),
            ("--bind", "/a:/b:/c", bind_options),
            ("--bind-ro", "/a:/b:rw", bind_options),
            ("--tmpfs", "", tmpfs),
            ("--tmpfs", "var", tmpfs),
            ("--tmpfs", "/var/../etc", tmpfs),
            ("--tmpfs", "/var:size", tmpfs_options),
            ("--tmpfs", "/var:size=", tmpfs_options),
            ("--tmpfs", "/var:noswap=1", tmpfs_options),
            (
                "--tmpfs",
                "/",
                "a path below the root directory; --volatile replaces that itself",
            ),
        ] {
            let text = format!("{flag}={value}");
            let error = parse(&text).expect_err(&text).to_string();
            let message = format!("{flag} is {value:?}, but must be {expected}");
            assert_eq!(error, message, "{text}");
        }
    }
}
