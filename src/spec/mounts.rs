//! The mounts of a container: Nix' directories, and those of its configuration.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::{Attributes, Bind, Content, Layer, Mount, Origin, Owners, Selection, Upper};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::closure::STORE;
use super::users::{self, Users};
use crate::config::{ContainerConfig, CustomContent, CustomMount, Source, WhichDevice};
use crate::container::Container;
use crate::container::mountinfo;
use crate::container::name::ContainerName;
use crate::container::paths::Places;

/// The mounts of a container and the directories of the host that they need.
#[derive(Debug)]
pub struct Mounts {
    /// All mounts, in the order in which the runtime makes them.
    pub mounts: Vec<Mount>,
    /// Directories of the host that are made at each start and removed after it.
    pub temporary: Vec<PathBuf>,
    /// Trees of the host that must belong to the container's users.
    pub owned: Vec<PathBuf>,
}

/// Checks the sources of all mounts, and sorts them.
pub fn resolve(
    container: &Container,
    config: &ContainerConfig,
    users: Option<&Users>,
) -> Result<Mounts> {
    let (places, name) = (container.places(), container.name());
    let mut mounts = nix_mounts(places, name, config);
    let owned = match users {
        Some(users) => map_or_own(&mut mounts, users)?,
        None => Vec::new(),
    };
    mounts.extend(device_nodes(config));
    let mut temporary = Vec::new();
    for (number, mount) in config.mounts.iter().enumerate() {
        let mut scratch = Scratch {
            directory: places.temporary(name).join(number.to_string()),
            work: work_name(name, number),
            is_used: false,
        };
        let cannot = || {
            let conf = places.conf(name);
            format!("cannot use {} of {}", mount.flag, conf.display())
        };
        let mut content = scratch.content(mount).with_context(cannot)?;
        if let Content::Bind(bind) = &mut content {
            check_owners(bind, users).with_context(cannot)?;
        }
        mounts.push(Mount {
            target: mount.target.clone(),
            content,
        });
        temporary.extend(scratch.is_used.then_some(scratch.directory));
    }
    sort(&mut mounts);
    Ok(Mounts {
        mounts,
        temporary,
        owned,
    })
}

/// Sorts mounts as systemd-nspawn does: a mount below another one comes after it,
/// whatever their order in the configuration. Mounts at one target are sorted by
/// kind, and the last one is visible.
fn sort(mounts: &mut [Mount]) {
    let kind = |content: &Content| match content {
        Content::Bind(_) | Content::Selection(_) => 0,
        Content::Tmpfs { .. } => 1,
        Content::Overlay { .. } => 2,
        Content::Inaccessible => 3,
    };
    mounts.sort_by(|a, b| (&a.target, kind(&a.content)).cmp(&(&b.target, kind(&b.content))));
}

/// The work directories of the configured overlays, beside their upper directories.
/// The kernel needs them while the container runs, and no longer.
pub fn work_directories(config: &ContainerConfig, name: &ContainerName) -> Vec<Layer> {
    let work = |(number, mount): (usize, &CustomMount)| match &mount.content {
        CustomContent::Overlay {
            upper: Some(Source::At(origin, upper)),
            ..
        } => Some(Layer {
            origin: *origin,
            path: upper.with_file_name(work_name(name, number)),
        }),
        _ => None,
    };
    config.mounts.iter().enumerate().filter_map(work).collect()
}

fn work_name(name: &ContainerName, number: usize) -> String {
    format!(".nixos-container-{name}-{number}")
}

/// The directories that one mount may have on the host beside its sources.
struct Scratch {
    /// A directory that is empty at each start.
    directory: PathBuf,
    /// Name of the work directory beside an upper one.
    work: String,
    /// Whether the mount needs `directory`.
    is_used: bool,
}

impl Scratch {
    fn content(&mut self, mount: &CustomMount) -> Result<Content> {
        Ok(match &mount.content {
            CustomContent::Bind {
                source,
                recursive,
                attributes,
                owners,
            } => {
                let Layer { origin, path } = self.source(source)?;
                Content::Bind(Bind {
                    origin,
                    source: path,
                    recursive: *recursive,
                    attributes: *attributes,
                    owners: *owners,
                })
            }
            CustomContent::Tmpfs {
                attributes,
                options,
            } => Content::Tmpfs {
                attributes: *attributes,
                options: options.clone(),
            },
            CustomContent::Overlay { lower, upper } => {
                let lower = lower.iter().map(|lower| self.source(lower));
                Content::Overlay {
                    lower: lower.collect::<Result<_>>()?,
                    upper: upper.as_ref().map(|upper| self.upper(upper)).transpose()?,
                }
            }
            CustomContent::Inaccessible => Content::Inaccessible,
        })
    }

    fn source(&mut self, source: &Source) -> Result<Layer> {
        if let Source::At(Origin::Host, path) = source {
            require_source(path)?;
        }
        Ok(self.layer(source))
    }

    fn upper(&mut self, upper: &Source) -> Result<Upper> {
        let mut layer = self.layer(upper);
        if *upper == Source::Temporary {
            // A subdirectory, so that the work directory beside it is temporary, too.
            layer.path.push("upper");
        }
        if layer.origin == Origin::Host {
            refuse_mount_point(&layer.path)?;
        }
        let work = layer.path.with_file_name(&self.work);
        Ok(Upper { layer, work })
    }

    fn layer(&mut self, source: &Source) -> Layer {
        let (origin, path) = match source {
            Source::At(origin, path) => (*origin, path),
            Source::Temporary => {
                self.is_used = true;
                (Origin::Host, &self.directory)
            }
        };
        let path = path.clone();
        Layer { origin, path }
    }
}

fn require_source(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "{} does not exist on the host; make it, or remove the flag",
            path.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot stat {}", path.display())),
    }
}

/// The work directory beside an upper one must be in the same mount.
fn refuse_mount_point(upper: &Path) -> Result<()> {
    let stat = statx(CWD, upper, AtFlags::empty(), StatxFlags::BASIC_STATS);
    if stat.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)) {
        bail!(
            "{} is a mount point; use a directory below it, so that the kernel's work directory \
             beside it is in the same mount",
            upper.display()
        );
    }
    Ok(())
}

/// Has Nix' directories belong to root in a user namespace: maps their owners where
/// the kernel can do so and no other user of the host can reach a writable one.
/// Returns the other writable directories, whose owners must be changed; a read-only
/// one is readable as it is.
fn map_or_own(nix: &mut [Mount], users: &Users) -> Result<Vec<PathBuf>> {
    let mut owned = Vec::new();
    for mount in nix {
        let bind = match &mut mount.content {
            Content::Bind(bind) => bind,
            Content::Selection(selection) => {
                selection.map_owners = users.can_map(&selection.directory, false)?;
                continue;
            }
            _ => continue,
        };
        let is_safe = bind.attributes.read_only || users::exposed_ancestor(&bind.source).is_none();
        if is_safe && users.can_map(&bind.source, bind.recursive)? {
            bind.owners = Owners::Mapped;
        } else if !bind.attributes.read_only {
            owned.push(bind.source.clone());
        }
    }
    Ok(owned)
}

/// Checks `idmap` and its kin of a bind mount. They apply to trees of the host
/// only: trees in the container's root directory have the right owners.
fn check_owners(bind: &mut Bind, users: Option<&Users>) -> Result<()> {
    let Some(users) = users.filter(|_| bind.origin == Origin::Host) else {
        bind.owners = Owners::OnDisk;
        return Ok(());
    };
    if bind.owners == Owners::Mapped && users.ids.is_identity() {
        bind.owners = Owners::OnDisk;
    }
    if bind.owners == Owners::OnDisk || users.ids.is_identity() {
        return Ok(());
    }
    if !users.can_map(&bind.source, bind.recursive)? {
        bail!(
            "{} cannot map the owners of files; bind without `idmap`, `rootidmap` and `owneridmap`",
            mountinfo::file_system_of(&bind.source)
        );
    }
    refuse_setuid_files(bind)
}

/// Refuses a directory in which the container's root could leave setuid files, or files
/// with capabilities, that belong to a user of the host and that others there can execute.
fn refuse_setuid_files(bind: &Bind) -> Result<()> {
    let source = &bind.source;
    if bind.attributes.read_only || users::exposed_ancestor(source).is_none() {
        return Ok(());
    }
    let cannot = || format!("cannot read the mounts of {}", source.display());
    if !mountinfo::may_give_privileges(source, bind.recursive).with_context(cannot)? {
        return Ok(());
    }
    let path = source.display();
    bail!(
        "a file that the container's root makes setuid in {path} would belong to a user of the \
         host, and other users of the host can reach it; mount it without setuid files there \
         (`mount --bind -o nosuid {path} {path}`, and the mounts below it), move it into a \
         directory that only root can enter, or use --bind-ro"
    )
}

/// The mounts in `/nix`: the container's profiles and GC roots, and the host's store and
/// daemon, with which Nix works inside. An untrusted container sees the store paths of
/// its system, and nothing of the others.
fn nix_mounts(places: &Places, name: &ContainerName, config: &ContainerConfig) -> Vec<Mount> {
    let bind = |source: PathBuf, target: &str, attributes| Mount {
        target: target.into(),
        content: Content::Bind(Bind {
            origin: Origin::Host,
            source,
            recursive: true,
            attributes,
            owners: Owners::OnDisk,
        }),
    };
    let read_only = |path: &str| bind(path.into(), path, Attributes::READ_ONLY);
    let own = |source, target| bind(source, target, Attributes::NONE);
    let mut mounts = vec![no_database()];
    if config.untrusted {
        mounts.push(Mount {
            target: STORE.into(),
            content: Content::Selection(Selection {
                directory: STORE.into(),
                names: places.run(name).store(),
                map_owners: false,
            }),
        });
    } else {
        mounts.push(bind(STORE.into(), STORE, Attributes::STORE));
    }
    // It does not exist if the host's Nix has no daemon, or has not run yet.
    let has_daemon = !config.untrusted && !config.no_nix_daemon;
    if has_daemon && Path::new(DAEMON_SOCKET).exists() {
        mounts.push(read_only(DAEMON_SOCKET));
    }
    let nix = places.nix(name);
    mounts.push(own(nix.profiles(), "/nix/var/nix/profiles"));
    mounts.push(own(nix.gcroots(), "/nix/var/nix/gcroots"));
    mounts
}

/// The nodes of `ALLOWED_DEVICES` that the host has, unless every container has them or
/// another mount is in their place. They are bound read-only, so that changes of owner and permissions inside do
/// not reach the host's nodes.
fn device_nodes(config: &ContainerConfig) -> impl Iterator<Item = Mount> {
    let nodes = config.security.devices.iter();
    let nodes = nodes.filter_map(|device| match &device.which {
        WhichDevice::Node(node) => Some(node),
        WhichDevice::Drivers { .. } => None,
    });
    let is_covered = |node: &Path| config.mounts.iter().any(|mount| mount.target == node);
    nodes
        .filter(move |node| !runtime::has_device_node(node) && !is_covered(node) && node.exists())
        .map(|node| Mount {
            target: node.clone(),
            content: Content::Bind(Bind {
                origin: Origin::Host,
                source: node.clone(),
                recursive: false,
                attributes: Attributes::READ_ONLY,
                owners: Owners::OnDisk,
            }),
        })
}

/// The directory of the socket of the host's Nix daemon.
const DAEMON_SOCKET: &str = "/nix/var/nix/daemon-socket";

/// An empty directory in the place of Nix' database. Inside, Nix works through the
/// daemon: it cannot open a database on a read-only file system. The host's database
/// would give the container nothing but its files to lock, and a lock on one of them
/// stops the host's Nix (`man 2 flock`; https://sqlite.org/lockingv3.html).
///
/// Read-only, or root inside could start a database of its own, in which no path of the
/// host's store is known, and so all are garbage.
fn no_database() -> Mount {
    Mount {
        target: "/nix/var/nix/db".into(),
        content: Content::Tmpfs {
            attributes: Attributes::READ_ONLY,
            options: vec![("mode".to_owned(), "755".to_owned())],
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tmpfs(target: &str) -> Mount {
        Mount {
            target: target.into(),
            content: Content::Tmpfs {
                attributes: Attributes::NONE,
                options: Vec::new(),
            },
        }
    }

    fn bind(source: &str, target: &str) -> Mount {
        Mount {
            target: target.into(),
            content: Content::Bind(Bind {
                origin: Origin::Host,
                source: source.into(),
                recursive: true,
                attributes: Attributes::NONE,
                owners: Owners::OnDisk,
            }),
        }
    }

    #[test]
    fn mounts_below_another_one_come_after_it() {
        let mut mounts = vec![
            tmpfs("/srv/a/b"),
            tmpfs("/srv"),
            bind("/1", "/srv-x"),
            bind("/2", "/srv/a"),
            tmpfs("/srv/a"),
            bind("/3", "/srv/a"),
        ];
        sort(&mut mounts);
        let ordered = [
            tmpfs("/srv"),
            bind("/2", "/srv/a"),
            bind("/3", "/srv/a"),
            tmpfs("/srv/a"),
            tmpfs("/srv/a/b"),
            bind("/1", "/srv-x"),
        ];
        assert_eq!(mounts, ordered);
    }
}
