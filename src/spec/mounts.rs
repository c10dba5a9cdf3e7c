//! What is mounted in a container: Nix' directories, and what its
//! configuration asks for.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::{Attributes, Bind, Content, Layer, Mount, Origin, Owners, Upper};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

use super::users::{self, Users};
use crate::config::{ContainerConfig, CustomContent, CustomMount, Source};
use crate::container::Container;
use crate::container::mountinfo;
use crate::container::name::ContainerName;
use crate::container::paths::Places;

/// All mounts, in the order in which they are made.
#[derive(Debug)]
pub struct Mounts {
    /// For the runtime.
    pub mounts: Vec<Mount>,
    /// Directories of the host, to be made at each start and removed after it.
    pub temporary: Vec<PathBuf>,
}

/// Checks what is to be mounted and puts it in order.
pub fn resolve(
    container: &Container,
    config: &ContainerConfig,
    mut users: Option<&mut Users>,
) -> Result<Mounts> {
    let (places, name) = (container.places(), container.name());
    let mut mounts = nix_binds(places, name);
    if let Some(users) = users.as_deref_mut() {
        show_owners(&mut mounts, users)?;
    }
    let mut temporary = Vec::new();
    for (number, mount) in config.mounts.iter().enumerate() {
        let mut own = Own {
            directory: places.temporary(name).join(number.to_string()),
            work: work_name(name, number),
            used: false,
        };
        let cannot = || {
            let conf = places.conf(name);
            format!("cannot use {} of {}", mount.flag, conf.display())
        };
        let mut content = own.content(mount).with_context(cannot)?;
        if let Content::Bind(bind) = &mut content {
            require_owners(bind, users.as_deref()).with_context(cannot)?;
        }
        mounts.push(Mount {
            target: mount.target.clone(),
            content,
        });
        temporary.extend(own.used.then_some(own.directory));
    }
    in_order(&mut mounts);
    Ok(Mounts { mounts, temporary })
}

/// As systemd-nspawn orders mounts: whatever is mounted below another mount
/// comes after it, whichever was asked for first. Of those at one place, the
/// kinds have a fixed order, and the last one is seen.
fn in_order(mounts: &mut [Mount]) {
    let kind = |content: &Content| match content {
        Content::Bind(_) => 0,
        Content::Tmpfs { .. } => 1,
        Content::Overlay { .. } => 2,
        Content::Inaccessible => 3,
    };
    mounts.sort_by(|a, b| (&a.target, kind(&a.content)).cmp(&(&b.target, kind(&b.content))));
}

/// The directories beside upper ones that the kernel works in while the
/// container runs. They are of no use after it.
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

/// What one mount may have on the host for itself.
struct Own {
    /// A directory that is empty at every start.
    directory: PathBuf,
    /// The name of the directory beside an upper one.
    work: String,
    /// Whether the directory is needed.
    used: bool,
}

impl Own {
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
        let (origin, path) = match source {
            Source::At(origin, path) => (*origin, path.clone()),
            Source::Temporary => {
                self.used = true;
                return Ok(Layer {
                    origin: Origin::Host,
                    path: self.directory.clone(),
                });
            }
        };
        if origin == Origin::Host {
            require(&path)?;
        }
        Ok(Layer { origin, path })
    }

    fn upper(&mut self, upper: &Source) -> Result<Upper> {
        let layer = match upper {
            Source::At(origin, path) => Layer {
                origin: *origin,
                path: path.clone(),
            },
            // A directory further down, so that the one beside it is its own.
            Source::Temporary => {
                let mut layer = self.source(upper)?;
                layer.path.push("upper");
                layer
            }
        };
        if layer.origin == Origin::Host {
            require_no_mount_point(&layer.path)?;
        }
        let work = layer.path.with_file_name(&self.work);
        Ok(Upper { layer, work })
    }
}

fn require(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
            "{} does not exist on the host; make it, or remove the flag",
            path.display()
        ),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

/// An upper directory needs one beside it that is of the same mount.
fn require_no_mount_point(upper: &Path) -> Result<()> {
    let stat = statx(CWD, upper, AtFlags::empty(), StatxFlags::BASIC_STATS);
    if stat.is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)) {
        bail!(
            "{} is a mount point; give a directory below it, so that another one can be made \
             beside that for the kernel to work in",
            upper.display()
        );
    }
    Ok(())
}

/// In a user namespace, Nix' directories are to belong to root inside. Where the
/// kernel cannot show them so, or the host's users could use what is in there,
/// those that the container may write are given to it; the others can be read all
/// the same.
fn show_owners(nix: &mut [Mount], users: &mut Users) -> Result<()> {
    for mount in nix {
        let Content::Bind(bind) = &mut mount.content else {
            continue;
        };
        let is_safe = bind.attributes.read_only || users::open_way(&bind.source).is_none();
        if is_safe && users.can_map(&bind.source, bind.recursive)? {
            bind.owners = Owners::Mapped;
        } else if !bind.attributes.read_only {
            users.give(bind.source.clone())?;
        }
    }
    Ok(())
}

/// `idmap` and `rootidmap` are about trees of the host's: what the container has
/// itself is shown to it as it should be.
fn require_owners(bind: &mut Bind, users: Option<&Users>) -> Result<()> {
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
            "{} cannot show files with other owners; bind without `idmap` and `rootidmap`",
            mountinfo::file_system_of(&bind.source)
        );
    }
    Ok(())
}

/// The store and, of the rest of `/nix`, what lets Nix work inside: the
/// database and the daemon to read from, profiles and roots of its own.
fn nix_binds(places: &Places, name: &ContainerName) -> Vec<Mount> {
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
    let mut binds = vec![read_only("/nix/store")];
    // A host whose Nix has no daemon, or has not run yet, lacks these.
    for path in ["/nix/var/nix/db", "/nix/var/nix/daemon-socket"] {
        if Path::new(path).exists() {
            binds.push(read_only(path));
        }
    }
    binds.push(own(places.profiles(name), "/nix/var/nix/profiles"));
    binds.push(own(places.gcroots(name), "/nix/var/nix/gcroots"));
    binds
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
    fn what_is_below_another_mount_comes_after_it() {
        let mut mounts = vec![
            tmpfs("/srv/a/b"),
            tmpfs("/srv"),
            bind("/1", "/srv-x"),
            bind("/2", "/srv/a"),
            tmpfs("/srv/a"),
            bind("/3", "/srv/a"),
        ];
        in_order(&mut mounts);
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
