//! Mounts that the child makes and changes.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

use crate::spec::mount_attributes::{Attributes, Layer, Origin, Owners, Propagation, Upper};

/// A file and a directory that cannot be read, to bind over others.
pub(crate) const INACCESSIBLE_FILE: &str = "/run/host/inaccessible/reg";
pub(crate) const INACCESSIBLE_DIRECTORY: &str = "/run/host/inaccessible/dir";

/// One change of the mounts that the child sees.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum MountStep {
    /// Sets where mount events go, for all mounts so far.
    SetPropagation {
        /// Where they go.
        propagation: Propagation,
    },
    /// Makes the root directory a mount of its own, with the mounts of the host
    /// below it, and the child's working directory. Paths inside are resolved in
    /// it from here on.
    BindRoot {
        /// The root directory on the host.
        source: PathBuf,
        /// Files of the host's root are shown as those of root inside, and so on.
        map_owners: bool,
        /// The mounts of the host below it become read-only.
        read_only_below: bool,
    },
    /// Covers the root directory with a file system in memory, which becomes the
    /// root as in [`MountStep::BindRoot`].
    EmptyRoot {
        /// The root directory on the host.
        directory: PathBuf,
        /// Parameters of the file system.
        options: Vec<(String, String)>,
    },
    /// Covers the root directory with an overlay of it and a file system in
    /// memory, which becomes the root as in [`MountStep::BindRoot`].
    OverlayRoot {
        /// The root directory on the host.
        lower: PathBuf,
        /// As with [`MountStep::BindRoot`].
        map_owners: bool,
        /// Parameters of the file system in memory.
        options: Vec<(String, String)>,
    },
    /// Makes the root directory `/`, with the host's tree mounted over it until
    /// [`MountStep::DetachHost`].
    PivotRoot,
    /// Detaches the host's tree.
    DetachHost,
    /// Mounts a file system of the container's own.
    Mount {
        /// Its type, as in `/proc/filesystems`.
        fstype: String,
        /// Path inside; made if missing.
        target: PathBuf,
        /// Attributes of the mount.
        attributes: Attributes,
        /// Parameters of the file system; one without a value has an empty one.
        options: Vec<(String, String)>,
    },
    /// Shows a file or a tree that exists at a second place.
    Bind {
        /// The root that the source is in.
        origin: Origin,
        /// Path at its origin.
        source: PathBuf,
        /// Path inside; made if missing.
        target: PathBuf,
        /// With the mounts below it.
        recursive: bool,
        /// Attributes that the mount gets besides those of its origin.
        attributes: Attributes,
        /// Owners of its files in a user namespace.
        owners: Owners,
        /// A source that is missing is no error.
        optional: bool,
    },
    /// Shows directories on top of each other.
    Overlay {
        /// The read-only layers, the lowest first.
        lower: Vec<Layer>,
        /// Where changes go. Without it, the overlay is read-only.
        upper: Option<Upper>,
        /// Path inside; made if missing.
        target: PathBuf,
    },
    /// Covers a file or a directory with an empty one that cannot be read.
    Hide {
        /// Path inside.
        target: PathBuf,
        /// A target that is missing is no error.
        optional: bool,
    },
    /// Adds attributes to a mount that exists.
    Restrict {
        /// Path inside.
        target: PathBuf,
        /// The attributes.
        attributes: Attributes,
    },
}

impl MountStep {
    pub(super) fn manual(&self) -> &'static str {
        match self {
            Self::SetPropagation { .. } => "mount_namespaces(7)",
            Self::BindRoot { .. } | Self::Bind { .. } | Self::Hide { .. } => {
                "open_tree(2), move_mount(2)"
            }
            Self::EmptyRoot { .. }
            | Self::OverlayRoot { .. }
            | Self::Mount { .. }
            | Self::Overlay { .. } => "fsopen(2), move_mount(2)",
            Self::PivotRoot => "pivot_root(2)",
            Self::DetachHost => "umount2(2), MNT_DETACH",
            Self::Restrict { .. } => "mount_setattr(2)",
        }
    }
}

impl fmt::Display for MountStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetPropagation { propagation } => f.write_str(match propagation {
                Propagation::Slave => "keep mount events from the host",
                Propagation::Shared => "share mount events within the container",
            }),
            Self::BindRoot {
                source,
                map_owners,
                read_only_below,
            } => {
                write!(f, "make {} a mount", source.display())?;
                if *read_only_below {
                    write!(f, ", and those below it read-only")?;
                }
                parenthesised(f, Owners::mapped(*map_owners).words())
            }
            Self::EmptyRoot { directory, options } => {
                write!(f, "cover {} with a tmpfs", directory.display())?;
                parenthesised(f, parameters(options))
            }
            Self::OverlayRoot {
                lower,
                map_owners,
                options,
            } => {
                write!(f, "overlay {} with a tmpfs", lower.display())?;
                let owners = Owners::mapped(*map_owners).words();
                parenthesised(f, owners.chain(parameters(options)))
            }
            Self::PivotRoot => write!(f, "make it /"),
            Self::DetachHost => write!(f, "detach the host's file systems"),
            Self::Mount {
                fstype,
                target,
                attributes,
                options,
            } => {
                write!(f, "mount {fstype} on {}", target.display())?;
                let attributes = attributes.words().map(str::to_owned);
                parenthesised(f, attributes.chain(parameters(options)))
            }
            Self::Bind {
                origin,
                source,
                target,
                attributes,
                owners,
                optional,
                ..
            } => {
                write!(f, "bind {origin}{} on ", source.display())?;
                if *origin == Origin::Container && source == target {
                    write!(f, "itself")?;
                } else {
                    write!(f, "{}", target.display())?;
                }
                let attributes = attributes.words().map(str::to_owned);
                parenthesised(f, attributes.chain(owners.words()))?;
                f.write_str(if *optional { " if it exists" } else { "" })
            }
            Self::Overlay {
                lower,
                upper,
                target,
            } => {
                let upper = upper.iter().map(|upper| &upper.layer);
                let all: Vec<_> = lower.iter().chain(upper).map(Layer::to_string).collect();
                write!(f, "overlay {} on {}", all.join(", "), target.display())
            }
            Self::Hide { target, .. } => write!(f, "hide {}", target.display()),
            Self::Restrict { target, attributes } => {
                write!(f, "restrict {}", target.display())?;
                parenthesised(f, attributes.words().map(str::to_owned))
            }
        }
    }
}

fn parameters(options: &[(String, String)]) -> impl Iterator<Item = String> {
    options.iter().map(|(key, value)| match value.as_str() {
        "" => key.clone(),
        value => format!("{key}={value}"),
    })
}

fn parenthesised(f: &mut fmt::Formatter<'_>, words: impl Iterator<Item = String>) -> fmt::Result {
    let words: Vec<_> = words.collect();
    if words.is_empty() {
        return Ok(());
    }
    write!(f, " ({})", words.join(", "))
}
