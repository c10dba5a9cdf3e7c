//! The `configuration.nix` of a container.

mod directory;
mod snapshot;

pub use snapshot::Snapshot;

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::rootfs::Root;

use crate::container::name::ContainerName;

/// The user's part of a `configuration.nix`.
#[derive(Debug, Clone)]
pub enum Options {
    /// Nothing but the part that all containers have.
    None,
    /// Definitions, as they are.
    Text(String),
    /// A file of the host to import, by its absolute path.
    Import(PathBuf),
    /// The contents of a file of the host, for a container that cannot see it.
    Copy(String),
}

impl Options {
    /// Whether they can refer to files beside the configuration by relative paths.
    pub fn refers_beside(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Copy(_))
    }
}

/// The configuration's path in the container, the same as for `nixos-rebuild`.
pub const PLACE: &str = "/etc/nixos/configuration.nix";

/// The maximum size of a `configuration.nix` in bytes.
const LONGEST: u64 = 4 << 20;

/// The configuration of a container, as nixpkgs' tool writes it. `boot.isNspawnContainer`,
/// which NixOS has since 25.11, includes `boot.isContainer`, and keeps the activation from
/// mounting `/proc`, `/run` and `/dev` once more.
pub fn text(name: &ContainerName, options: &Options) -> Result<String> {
    let options = match options {
        Options::None => String::new(),
        Options::Text(text) => text.clone(),
        Options::Import(file) => format!("imports = [ (/. + {}) ];", nix_string(file)?),
        Options::Copy(text) => format!("imports = [\n(\n{text}\n)\n  ];"),
    };
    let host_name = host_name(name);
    Ok(format!(
        "{{ config, lib, options, pkgs, ... }}:\n\n\
         with lib;\n\n\
         {{ boot.${{if options.boot ? isNspawnContainer then \"isNspawnContainer\" else \
         \"isContainer\"}} = true;\n  \
           networking.hostName = lib.mkDefault \"{host_name}\";\n  \
           networking.useDHCP = false;\n  \
           {options}\n\
         }}\n"
    ))
}

/// A path as a Nix string; a path literal could not contain spaces.
fn nix_string(path: &Path) -> Result<String> {
    let Some(text) = path.to_str() else {
        bail!("the path {} is not UTF-8, as Nix requires", path.display());
    };
    let escaped = text
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace("${", "\\${");
    Ok(format!("\"{escaped}\""))
}

/// The part of a container's name that is a valid host name: at most 63 characters, of
/// which the first and last are letters or digits (`networking.hostName` of nixpkgs).
fn host_name(name: &ContainerName) -> &str {
    let name = name.as_str();
    let name = name.trim_start_matches('_');
    name[..name.len().min(63)].trim_end_matches(['-', '_'])
}

/// Reads a `configuration.nix` of the host, to be copied.
pub fn read_copy(file: &Path) -> Result<Options> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the configuration file {}", file.display()))?;
    Ok(Options::Copy(text))
}

/// The configuration in a container's root directory.
#[derive(Debug)]
pub struct Configuration {
    root: Root,
    /// The path of the root directory, for messages.
    path: PathBuf,
}

impl Configuration {
    /// The configuration in this root directory.
    pub fn in_root(root: &Path) -> Result<Self> {
        Ok(Self {
            path: root.to_owned(),
            // With a user namespace, new files belong to the owner of the root.
            root: Root::open_for_its_owner(root)
                .with_context(|| format!("cannot open {}", root.display()))?,
        })
    }

    /// Replaces the configuration.
    pub fn write(&self, text: &str) -> Result<()> {
        self.root
            .replace_file(Path::new(PLACE), text.as_bytes(), 0o644)
            .with_context(|| self.cannot("write", PLACE))
    }

    /// Whether `path` still is the same root directory.
    pub fn is_of(&self, path: &Path) -> bool {
        let ours = rustix::fs::fstat(&self.root);
        let there = rustix::fs::stat(path);
        matches!((ours, there), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    /// Replaces the configuration, and keeps the old one as a numbered backup, like
    /// `cp --backup=numbered`. Changes nothing if the text is the same.
    pub fn replace_with_backup(&self, text: &str) -> Result<Replaced> {
        let there = match self.root.read_file(Path::new(PLACE), LONGEST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.write(text)?;
                return Ok(Replaced::Nothing);
            }
            answer => answer.with_context(|| self.cannot("read", PLACE))?,
        };
        if there == text.as_bytes() {
            return Ok(Replaced::Same);
        }
        let backup = self.write_backup(&there)?;
        self.write(text)?;
        Ok(Replaced::Other(backup))
    }

    fn write_backup(&self, contents: &[u8]) -> Result<String> {
        for number in 1.. {
            let backup = format!("{PLACE}.~{number}~");
            let made = self
                .root
                .create_file(Path::new(&backup), contents, 0o644)
                .with_context(|| self.cannot("write", &backup))?;
            if made {
                return Ok(backup);
            }
        }
        bail!("no name is free for a backup of {PLACE}")
    }

    fn cannot(&self, act: &str, place: &str) -> String {
        format!("cannot {act} {place} in {}", self.path.display())
    }
}

/// The configuration that was replaced.
#[derive(Debug, PartialEq, Eq)]
pub enum Replaced {
    /// None.
    Nothing,
    /// The same one; nothing was changed.
    Same,
    /// Another one, which is kept under this name.
    Other(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(options: &Options) -> String {
        let name = "foo".parse().expect("valid");
        super::text(&name, options).expect("valid")
    }

    #[test]
    fn text_has_the_host_name_and_the_options() {
        let text = text(&Options::Text("services.openssh.enable = true;".into()));
        assert!(text.contains("networking.hostName = lib.mkDefault \"foo\";"));
        assert!(text.contains("  services.openssh.enable = true;\n}"));
    }

    #[test]
    fn host_name_is_one_that_nixos_accepts() {
        for (name, host) in [
            ("a_b-c".to_owned(), "a_b-c".to_owned()),
            ("a-_-".to_owned(), "a".to_owned()),
            ("_a".to_owned(), "a".to_owned()),
            ("x".repeat(64), "x".repeat(63)),
        ] {
            assert_eq!(host_name(&name.parse().expect("valid")), host);
        }
    }

    #[test]
    fn path_of_an_import_is_quoted() {
        let text = text(&Options::Import("/a b/${x}\"c.nix".into()));
        assert!(
            text.contains(r#"imports = [ (/. + "/a b/\${x}\"c.nix") ];"#),
            "{text}"
        );
    }

    #[test]
    fn copy_may_end_with_a_comment() {
        let text = text(&Options::Copy("{ a = 1; } # that is all".into()));
        assert!(text.contains("(\n{ a = 1; } # that is all\n)\n"), "{text}");
    }
}
