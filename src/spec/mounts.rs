//! What is mounted in a container: Nix' directories, and what its
//! configuration asks for.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::{Attributes, Bind, Content, Mount, Origin};

use crate::config::{ContainerConfig, CustomContent, CustomMount, Source};
use crate::container::Container;
use crate::name::ContainerName;
use crate::paths::Places;

/// All mounts, in the order in which they are made.
#[derive(Debug)]
pub struct Mounts {
    /// For the runtime.
    pub mounts: Vec<Mount>,
    /// Directories of the host, to be made at each start and removed after it.
    pub temporary: Vec<PathBuf>,
}

/// Checks what is to be mounted and puts it in order.
pub fn resolve(container: &Container, config: &ContainerConfig) -> Result<Mounts> {
    let places = container.places();
    let mut all = Mounts {
        mounts: nix_binds(places, container.name()),
        temporary: Vec::new(),
    };
    for mount in &config.mounts {
        let temporary = places.temporary(container.name());
        let content = all.content(mount, &temporary).with_context(|| {
            let conf = places.conf(container.name());
            format!("cannot use {} of {}", mount.flag, conf.display())
        })?;
        all.mounts.push(Mount {
            target: mount.target.clone(),
            content,
        });
    }
    in_order(&mut all.mounts);
    Ok(all)
}

/// As systemd-nspawn orders mounts: whatever is mounted below another mount
/// comes after it, whichever was asked for first. Of those at one place, the
/// kinds have a fixed order, and the last one is seen.
fn in_order(mounts: &mut [Mount]) {
    let kind = |content: &Content| match content {
        Content::Bind(_) => 0,
        Content::Tmpfs { .. } => 1,
    };
    mounts.sort_by(|a, b| (&a.target, kind(&a.content)).cmp(&(&b.target, kind(&b.content))));
}

impl Mounts {
    fn content(&mut self, mount: &CustomMount, temporary: &Path) -> Result<Content> {
        Ok(match &mount.content {
            CustomContent::Bind {
                source,
                recursive,
                attributes,
            } => {
                let (origin, source) = self.source(source, temporary)?;
                Content::Bind(Bind {
                    origin,
                    source,
                    recursive: *recursive,
                    attributes: *attributes,
                })
            }
            CustomContent::Tmpfs {
                attributes,
                options,
            } => Content::Tmpfs {
                attributes: *attributes,
                options: options.clone(),
            },
        })
    }

    fn source(&mut self, source: &Source, temporary: &Path) -> Result<(Origin, PathBuf)> {
        Ok(match source {
            Source::At(Origin::Host, path) => {
                require(path)?;
                (Origin::Host, path.clone())
            }
            Source::At(Origin::Container, path) => (Origin::Container, path.clone()),
            Source::Temporary => {
                let directory = temporary.join(self.temporary.len().to_string());
                self.temporary.push(directory.clone());
                (Origin::Host, directory)
            }
        })
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
