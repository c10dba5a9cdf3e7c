//! Flags that say what file systems the container sees.

use super::{Flag, Meaning};
use crate::config::{CustomMount, Volatile};

/// A flag about file systems.
#[derive(Debug, Clone, PartialEq)]
pub enum MountFlag {
    /// `--bind=`, `--bind-ro=`, `--tmpfs=`, `--overlay=`, `--overlay-ro=`,
    /// `--inaccessible=`
    Custom(CustomMount),
    /// `--read-only`
    ReadOnly,
    /// `--volatile`, `--volatile=`
    Volatile(Volatile),
    /// `--ephemeral`, `-x`
    Ephemeral,
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    Some(match flag {
        "--bind" => Meaning::With(|value| CustomMount::bind(value, false).map(custom)),
        "--bind-ro" => Meaning::With(|value| CustomMount::bind(value, true).map(custom)),
        "--tmpfs" => Meaning::With(|value| CustomMount::tmpfs(value).map(custom)),
        "--overlay" => Meaning::With(|value| CustomMount::overlay(value, false).map(custom)),
        "--overlay-ro" => Meaning::With(|value| CustomMount::overlay(value, true).map(custom)),
        "--inaccessible" => Meaning::With(|value| CustomMount::inaccessible(value).map(custom)),
        "--read-only" => Meaning::Alone(Flag::Mounts(MountFlag::ReadOnly)),
        "--ephemeral" | "-x" => Meaning::Alone(Flag::Mounts(MountFlag::Ephemeral)),
        "--volatile" => Meaning::Either(volatile(Volatile::Yes), |value| {
            Volatile::parse(value).map(volatile)
        }),
        _ => return None,
    })
}

fn volatile(mode: Volatile) -> Flag {
    Flag::Mounts(MountFlag::Volatile(mode))
}

fn custom(mount: CustomMount) -> Flag {
    Flag::Mounts(MountFlag::Custom(mount))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::nspawn_flags::parse;

    #[test]
    fn flags_of_the_root_are_understood() {
        let flags = [
            MountFlag::ReadOnly,
            MountFlag::Ephemeral,
            MountFlag::Ephemeral,
            MountFlag::Volatile(Volatile::Yes),
            MountFlag::Volatile(Volatile::Overlay),
            MountFlag::Volatile(Volatile::No),
        ];
        let text = "--read-only --ephemeral -x --volatile --volatile=overlay --volatile=no";
        assert_eq!(parse(text), Ok(flags.map(Flag::Mounts).into()));
    }

    #[test]
    fn a_bad_value_is_answered_with_what_is_expected() {
        let bind = "SOURCE[:TARGET[:OPTIONS]] with absolute paths and a target below the root \
                    directory, as /srv/data:/data";
        let bind_options = "options of rbind, norbind, noidmap, idmap, rootidmap, ro, nosuid, \
                            nodev, noexec behind its second colon";
        let tmpfs = "PATH[:OPTIONS] with an absolute path below the root directory, as \
                     /var/cache:size=100m";
        let overlay = "LOWER[:LOWER…]:UPPER:TARGET or LOWER:TARGET with absolute paths of at most \
                       12 lower directories, as +/srv::/srv";
        let inaccessible = "an absolute path below the root directory, as /etc/ssh";
        let volatile = "yes, no, state or overlay";
        let many = "/x:".repeat(14) + "/y";
        let tmpfs_options = "options of size=SIZE, nr_blocks=NUMBER, nr_inodes=NUMBER, \
                             mode=OCTAL, uid=NUMBER, gid=NUMBER, huge=never, always, within_size \
                             or advise, noswap, inode32, inode64, ro, nosuid, nodev, noexec \
                             behind its first colon, as size=100m,mode=0700";
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
            ("--tmpfs", "/", tmpfs),
            ("--bind", "/:/", bind),
            ("--bind", "+/", bind),
            ("--overlay", "", overlay),
            ("--overlay", "/a", overlay),
            ("--overlay", "/a:", overlay),
            ("--overlay", ":/a", overlay),
            ("--overlay", "/a:/b:c", overlay),
            ("--overlay-ro", "/a::/b:/c", overlay),
            ("--overlay-ro", "/a:/b:/", overlay),
            ("--overlay", &many, overlay),
            ("--inaccessible", "", inaccessible),
            ("--inaccessible", "/", inaccessible),
            ("--inaccessible", "etc", inaccessible),
            ("--volatile", "", volatile),
            ("--volatile", "tmpfs", volatile),
        ] {
            let text = format!("{flag}={value}");
            let error = parse(&text).expect_err(&text).to_string();
            let message = format!("{flag} is {value:?}, but must be {expected}");
            assert_eq!(error, message, "{text}");
        }
    }
}
