//! Mounts of the administrator, in the syntax of systemd-nspawn(1).

use std::path::{Path, PathBuf};

use runtime::{Attributes, Origin, Owners};

use super::error::Parsed;

mod fields;
mod tmpfs;

use fields::{absolute, below_root, field, fields, restrict, words};

/// A mount that the configuration asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct CustomMount {
    /// The flag with its value, for messages.
    pub flag: String,
    /// Absolute path inside, without `..`.
    pub target: PathBuf,
    /// The mounted content.
    pub content: CustomContent,
}

/// The content of a mount.
#[derive(Debug, Clone, PartialEq)]
pub enum CustomContent {
    /// An existing file or tree.
    Bind {
        /// The file or tree.
        source: Source,
        /// Whether the mounts below it are included.
        recursive: bool,
        /// Attributes in addition to those of the source.
        attributes: Attributes,
        /// The owners of its files, as a user namespace sees them.
        owners: Owners,
    },
    /// A file system in memory.
    Tmpfs {
        /// Attributes of the mount.
        attributes: Attributes,
        /// Parameters of the file system. The value is empty if a parameter takes none.
        options: Vec<(String, String)>,
    },
    /// An overlay of trees.
    Overlay {
        /// The lower trees, the lowest first; at least two if there is no upper one.
        lower: Vec<Source>,
        /// The tree that takes changes; without it, the mount is read-only.
        upper: Option<Source>,
    },
    /// An empty file or directory without permissions, which hides the original.
    Inaccessible,
}

/// The source of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An absolute path.
    At(Origin, PathBuf),
    /// A directory that is empty at every start.
    Temporary,
}

const BIND: &str = "SOURCE[:TARGET[:OPTIONS]] with absolute paths and a target below the root \
                    directory, as /srv/data:/data";
const BIND_OPTIONS: &str = "options of rbind, norbind, noidmap, idmap, rootidmap, owneridmap, ro, nosuid, \
                            nodev, noexec after its second colon";
const TMPFS: &str =
    "PATH[:OPTIONS] with an absolute path below the root directory, as /var/cache:size=100m";
const OVERLAY: &str = "LOWER[:LOWER…]:UPPER:TARGET or LOWER:TARGET with absolute paths of at \
                       most 12 lower directories, as +/srv::/srv";
const INACCESSIBLE: &str = "an absolute path below the root directory, as /etc/ssh";

impl CustomMount {
    /// `--bind=SOURCE[:TARGET[:OPTIONS]]`, or `--bind-ro=`.
    pub fn bind(text: &str, read_only: bool) -> Parsed<Self> {
        let (source, rest) = field(text).ok_or(BIND)?;
        let source = Source::parse(&source).ok_or(BIND)?;
        let (target, options) = match (rest, &source) {
            (Some(rest), _) => {
                let (target, options) = field(rest).ok_or(BIND)?;
                (absolute(&target).ok_or(BIND)?, options)
            }
            (None, Source::At(_, path)) => (path.clone(), None),
            (None, Source::Temporary) => return Err(BIND),
        };
        let (mut attributes, mut recursive) = (Attributes::NONE, true);
        let mut owners = Owners::OnDisk;
        attributes.read_only = read_only;
        for word in words(options) {
            match word {
                "rbind" => recursive = true,
                "norbind" => recursive = false,
                "noidmap" => owners = Owners::OnDisk,
                "idmap" => owners = Owners::Mapped,
                "rootidmap" => owners = Owners::RootIsOwner,
                "owneridmap" => owners = Owners::TargetOwnerIsOwner,
                _ if restrict(&mut attributes, word) => {}
                _ => return Err(BIND_OPTIONS),
            }
        }
        Ok(Self {
            flag: format!("--bind{}={text}", if read_only { "-ro" } else { "" }),
            target: below_root(target).ok_or(BIND)?,
            content: CustomContent::Bind {
                source,
                recursive,
                attributes,
                owners,
            },
        })
    }

    /// `--tmpfs=PATH[:OPTIONS]`
    pub fn tmpfs(text: &str) -> Parsed<Self> {
        let (target, rest) = field(text).ok_or(TMPFS)?;
        let target = absolute(&target).and_then(below_root).ok_or(TMPFS)?;
        let (attributes, options) = tmpfs::options(rest)?;
        Ok(Self {
            flag: format!("--tmpfs={text}"),
            target,
            content: CustomContent::Tmpfs {
                attributes,
                options,
            },
        })
    }

    /// `--overlay=LOWER[:LOWER…]:UPPER:TARGET`, or `--overlay-ro=`. If there are two
    /// paths, the second is both the upper directory and the target.
    pub fn overlay(text: &str, read_only: bool) -> Parsed<Self> {
        let mut fields = fields(text).ok_or(OVERLAY)?;
        let target = match fields.len() {
            0 | 1 => return Err(OVERLAY),
            2 => fields[1].strip_prefix('+').unwrap_or(&fields[1]).to_owned(),
            _ => fields.pop().ok_or(OVERLAY)?,
        };
        let upper = fields.pop().ok_or(OVERLAY)?;
        let upper = Source::parse(&upper).ok_or(OVERLAY)?;
        let lower = fields.iter().map(|lower| match Source::parse(lower) {
            Some(source @ Source::At(..)) => Ok(source),
            _ => Err(OVERLAY),
        });
        let mut lower = lower.collect::<Parsed<Vec<_>>>()?;
        // Its work directory is beside it, and the root has no neighbour.
        if matches!(&upper, Source::At(_, path) if path == Path::new("/")) {
            return Err(OVERLAY);
        }
        let upper = if read_only {
            lower.push(upper);
            None
        } else {
            Some(upper)
        };
        if lower.len() > MOST_LOWER_LAYERS {
            return Err(OVERLAY);
        }
        Ok(Self {
            flag: format!("--overlay{}={text}", if read_only { "-ro" } else { "" }),
            target: absolute(&target).and_then(below_root).ok_or(OVERLAY)?,
            content: CustomContent::Overlay { lower, upper },
        })
    }

    /// `--inaccessible=PATH`
    pub fn inaccessible(text: &str) -> Parsed<Self> {
        Ok(Self {
            flag: format!("--inaccessible={text}"),
            target: absolute(text).and_then(below_root).ok_or(INACCESSIBLE)?,
            content: CustomContent::Inaccessible,
        })
    }
}

/// This number of paths through descriptors always fits into the 256 bytes that the
/// kernel takes for one parameter of a file system (`man 2 fsconfig`).
const MOST_LOWER_LAYERS: usize = 12;

/// The value of `TMPFS`: values of `--tmpfs=`, separated by blanks.
pub fn tmpfs_list(text: &str) -> Parsed<Vec<CustomMount>> {
    text.split_whitespace().map(CustomMount::tmpfs).collect()
}

impl Source {
    /// An absolute path of the host, or one of the container after a `+`; an empty
    /// text means a temporary directory.
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::Temporary);
        }
        let (origin, path) = match text.strip_prefix('+') {
            Some(path) => (Origin::Container, path),
            None => (Origin::Host, text),
        };
        Some(Self::At(origin, absolute(path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(origin: Origin, path: &str) -> Source {
        Source::At(origin, path.into())
    }

    /// A recursive bind mount without restrictions.
    fn bind(source: Source, target: &str) -> (PathBuf, CustomContent) {
        let content = CustomContent::Bind {
            source,
            recursive: true,
            attributes: Attributes::NONE,
            owners: Owners::OnDisk,
        };
        (target.into(), content)
    }

    #[test]
    fn bind_is_source_target_and_options() {
        for (text, target, source) in [
            ("/a", "/a", at(Origin::Host, "/a")),
            ("/a:/b", "/b", at(Origin::Host, "/a")),
            ("/a:/b:", "/b", at(Origin::Host, "/a")),
            ("/a:/b:noidmap,rbind", "/b", at(Origin::Host, "/a")),
            ("+/a", "/a", at(Origin::Container, "/a")),
            ("+/a:/b", "/b", at(Origin::Container, "/a")),
            (":/b", "/b", Source::Temporary),
            (r"/a\:b:/c\\", r"/c\", at(Origin::Host, "/a:b")),
            ("/./a//b/:/c/", "/c", at(Origin::Host, "/a/b")),
        ] {
            let mount = CustomMount::bind(text, false).expect(text);
            assert_eq!(
                (mount.target, mount.content),
                bind(source, target),
                "{text}"
            );
        }
        let restricted = CustomMount::bind("/a:/b:norbind,idmap,nosuid,nodev,noexec", true);
        let content = CustomContent::Bind {
            source: at(Origin::Host, "/a"),
            recursive: false,
            attributes: Attributes {
                read_only: true,
                no_suid: true,
                no_devices: true,
                no_exec: true,
            },
            owners: Owners::Mapped,
        };
        assert_eq!(restricted.map(|mount| mount.content), Ok(content));
    }

    #[test]
    fn tmpfs_is_a_path_and_options() {
        for text in ["/x", "/x:", "//x/:size=1m"] {
            let mount = CustomMount::tmpfs(text).expect(text);
            assert_eq!(mount.target, Path::new("/x"), "{text}");
        }
        assert_eq!(tmpfs_list(" /a /b:size=1m\n").map(|all| all.len()), Ok(2));
    }

    #[test]
    fn overlay_is_layers_and_a_target() {
        let low = at(Origin::Host, "/low");
        let high = at(Origin::Container, "/high");
        for (text, read_only, target, lower, upper) in [
            (
                "/low:+/high",
                false,
                "/high",
                vec![low.clone()],
                Some(high.clone()),
            ),
            (
                "/low:+/high",
                true,
                "/high",
                vec![low.clone(), high.clone()],
                None,
            ),
            (
                "/low:+/high:/t",
                false,
                "/t",
                vec![low.clone()],
                Some(high.clone()),
            ),
            (
                "/low:+/high::/t",
                false,
                "/t",
                vec![low.clone(), high.clone()],
                Some(Source::Temporary),
            ),
            (
                "/low::/t",
                true,
                "/t",
                vec![low.clone(), Source::Temporary],
                None,
            ),
        ] {
            let mount = CustomMount::overlay(text, read_only).expect(text);
            assert_eq!(mount.target, Path::new(target), "{text}");
            let content = CustomContent::Overlay { lower, upper };
            assert_eq!(mount.content, content, "{text}");
        }
    }

    #[test]
    fn error_names_the_expected_value() {
        type Read = fn(&str) -> Parsed<CustomMount>;
        let bind: Read = |text| CustomMount::bind(text, false);
        let overlay: Read = |text| CustomMount::overlay(text, false);
        let overlay_ro: Read = |text| CustomMount::overlay(text, true);
        let many = "/x:".repeat(14) + "/y";
        let binds = [
            "",
            "data",
            "/a:",
            "/a:b",
            ":",
            "++/a",
            "/a:/b/../c",
            "/a\\",
            "/:/",
            "+/",
        ];
        let overlays = ["", "/a", "/a:", ":/a", "/a:/b:c", &many];
        for (read, expected, values) in [
            (bind, BIND, &binds[..]),
            (bind, BIND_OPTIONS, &["/a:/b:/c", "/a:/b:rw"]),
            (CustomMount::tmpfs, TMPFS, &["", "var", "/var/../etc", "/"]),
            (
                CustomMount::tmpfs,
                tmpfs::EXPECTED,
                &["/var:size", "/var:size=", "/var:noswap=1"],
            ),
            (overlay, OVERLAY, &overlays),
            (overlay_ro, OVERLAY, &["/a::/b:/c", "/a:/b:/"]),
            (CustomMount::inaccessible, INACCESSIBLE, &["", "/", "etc"]),
        ] {
            for value in values {
                assert_eq!(read(value), Err(expected), "{value}");
            }
        }
    }
}
