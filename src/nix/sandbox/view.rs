//! The files that the sandbox shows: programs, the store, name resolution,
//! certificates, and what the administrator's `NIX_PATH` and `--nixos-path` name.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::{Attributes, Bind, Content, Mount, Origin, Owners};
use serde::Deserialize;

use super::text;
use crate::nix::build;

/// Directories of programs and libraries on hosts where not all are in the store. Some
/// are links to others.
const PROGRAMS: [&str; 7] = [
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
];

/// Files for name resolution, certificates and the dynamic linker.
const FILES: [&str; 13] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/nsswitch.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ld.so.cache",
    "/etc/alternatives",
];

/// Variables with the path of a file of certificates (Nix manual, "Environment
/// variables"; `man 1 curl`).
const CERTIFICATES: [&str; 4] = [
    "NIX_SSL_CERT_FILE",
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
];

/// Variables that are the same in the sandbox: the language, and the way to the network
/// (`man 1 curl`).
const VARIABLES: [&str; 10] = [
    "LANG",
    "LC_ALL",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// The files that a sandbox shows.
#[derive(Debug)]
pub(super) struct View {
    mounts: Vec<Mount>,
    links: Vec<(PathBuf, PathBuf)>,
    environment: Vec<(String, String)>,
    /// The path of the program that runs.
    program: PathBuf,
}

impl View {
    /// The files that a program of Nix needs, found in `$PATH`.
    pub(super) fn new(program: &str) -> Result<Self> {
        let mut view = Self {
            mounts: Vec::new(),
            links: Vec::new(),
            environment: Vec::new(),
            program: PathBuf::new(),
        };
        for place in PROGRAMS.map(Path::new) {
            match fs::read_link(place) {
                Ok(target) => view.links.push((place.to_owned(), target)),
                Err(_) => view.show_if_present(place, place),
            }
        }
        for file in FILES.map(Path::new) {
            view.show_if_present(file, file);
        }
        view.find(program)?;
        for variable in CERTIFICATES {
            let file = env::var_os(variable).map(PathBuf::from);
            if let Some(file) = file.and_then(|file| fs::canonicalize(file).ok()) {
                view.show(&file);
                view.set(variable, text(file.as_os_str())?);
            }
        }
        for variable in VARIABLES {
            if let Ok(value) = env::var(variable) {
                view.set(variable, value);
            }
        }
        view.set("NIX_CONF_DIR", "/etc/nix".to_owned());
        // The default is a file in the home directory.
        view.set("NIX_USER_CONF_FILES", String::new());
        view.set("TMPDIR", "/tmp".to_owned());
        Ok(view)
    }

    /// Finds the program in `$PATH`. The sandbox's `PATH` has the same directories, as
    /// far as they are shown.
    fn find(&mut self, program: &str) -> Result<()> {
        let path = env::var_os("PATH").unwrap_or_default();
        let directories: Vec<_> = env::split_paths(&path)
            .filter_map(|directory| fs::canonicalize(directory).ok())
            .collect();
        let Some(directory) = directories
            .iter()
            .find(|directory| directory.join(program).is_file())
        else {
            return Err(build::not_installed(program));
        };
        let is_of_store = |path: &Path| path.starts_with("/nix/store");
        if !is_of_store(directory) {
            self.show(directory);
        }
        let real = fs::canonicalize(directory.join(program))
            .with_context(|| format!("cannot find {program}"))?;
        if let Some(beside) = real.parent().filter(|beside| !is_of_store(beside)) {
            self.show(beside);
        }
        self.program = directory.join(program);
        let mut shown = Vec::new();
        for directory in &directories {
            if is_of_store(directory) || self.shows(directory) {
                shown.push(text(directory.as_os_str())?);
            }
        }
        self.set("PATH", shown.join(":"));
        Ok(())
    }

    /// Shows the store, read-only.
    pub(super) fn show_store(&mut self) {
        self.show(Path::new("/nix/store"));
    }

    /// Shows a NixOS expression, and the nixpkgs that it is a part of. Returns the word
    /// for Nix.
    pub(super) fn show_nixos(&mut self, path: &Path) -> Result<String> {
        // `<nixpkgs/nixos>` and addresses are no paths.
        let Ok(real) = fs::canonicalize(path) else {
            return text(path.as_os_str());
        };
        let nixpkgs = real.parent().filter(|parent| parent.join("lib").is_dir());
        self.show(nixpkgs.unwrap_or(&real));
        text(real.as_os_str())
    }

    /// Shows what Nix' search path names; the same search path in the sandbox.
    pub(super) fn show_nix_path(&mut self) -> Result<String> {
        let mut entries = Vec::new();
        for SearchPath { prefix, path } in search_path()? {
            // The host's own configuration.
            if prefix == "nixos-config" {
                continue;
            }
            let value = if path.contains("://") || is_pseudo_address(&path) {
                path
            } else {
                let Ok(real) = fs::canonicalize(&path) else {
                    continue;
                };
                if real == Path::new("/") {
                    continue;
                }
                self.show(&real);
                text(real.as_os_str())?
            };
            entries.push(if prefix.is_empty() {
                value
            } else {
                format!("{prefix}={value}")
            });
        }
        Ok(entries.join(":"))
    }

    /// Shows a file or tree of the host at the same path, unless it is shown already.
    /// No component of the path is a link.
    pub(super) fn show(&mut self, real: &Path) {
        if !self.shows(real) {
            self.bind(real, real, Attributes::READ_ONLY);
        }
    }

    /// Shows a file or tree of the host that can be written to.
    pub(super) fn write_at(&mut self, source: &Path, target: &Path) {
        self.bind(source, target, Attributes::NO_SUID);
    }

    /// Shows a file or tree of the host at a path, unless it is missing.
    pub(super) fn show_if_present(&mut self, source: &Path, target: &Path) {
        if let Ok(real) = fs::canonicalize(source) {
            self.bind(&real, target, Attributes::READ_ONLY);
        }
    }

    fn bind(&mut self, source: &Path, target: &Path, attributes: Attributes) {
        self.mounts.push(Mount {
            target: target.to_owned(),
            content: Content::Bind(Bind {
                origin: Origin::Host,
                source: source.to_owned(),
                recursive: true,
                attributes,
                owners: Owners::OnDisk,
            }),
        });
    }

    fn set(&mut self, variable: &str, value: String) {
        self.environment.push((variable.to_owned(), value));
    }

    /// Whether the sandbox shows this path.
    pub(super) fn shows(&self, path: &Path) -> bool {
        let mut targets = self.mounts.iter().map(|mount| &mount.target);
        let mut links = self.links.iter().map(|(link, _)| link);
        targets.any(|target| path.starts_with(target)) || links.any(|link| path.starts_with(link))
    }

    /// The mounts, those above others first.
    pub(super) fn mounts(&self) -> Vec<Mount> {
        let mut mounts = self.mounts.clone();
        mounts.sort_by_key(|mount| mount.target.components().count());
        mounts
    }

    /// The symbolic links.
    pub(super) fn links(&self) -> Vec<(PathBuf, PathBuf)> {
        self.links.clone()
    }

    /// The program's whole environment, but for `NIX_PATH` and its user's variables.
    pub(super) fn environment(&self) -> Vec<(String, String)> {
        self.environment.clone()
    }

    /// The program.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }
}

/// An entry of Nix' search path (`builtins.nixPath`).
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct SearchPath {
    prefix: String,
    path: String,
}

/// The caller's search path: `$NIX_PATH`, or Nix' default.
fn search_path() -> Result<Vec<SearchPath>> {
    match env::var("NIX_PATH") {
        Ok(text) => Ok(entries(&text)),
        Err(env::VarError::NotUnicode(_)) => bail!("NIX_PATH is not UTF-8, as Nix requires"),
        Err(env::VarError::NotPresent) => {
            let json = build::search_path()?;
            serde_json::from_slice(&json).context("cannot understand `builtins.nixPath`")
        }
    }
}

/// The entries of `$NIX_PATH`. A colon ends an entry, unless it is that of an address
/// (`parseNixPath` of Nix' `eval.cc`).
fn entries(text: &str) -> Vec<SearchPath> {
    let mut entries: Vec<String> = Vec::new();
    let mut whole = true;
    for piece in text.split(':') {
        match entries.last_mut() {
            Some(last) if !whole || piece.starts_with("//") => {
                last.push(':');
                last.push_str(piece);
            }
            _ => entries.push(piece.to_owned()),
        }
        let value = piece.rsplit_once('=').map_or(piece, |(_, value)| value);
        whole = !PSEUDO_SCHEMES.contains(&value);
    }
    let entries = entries.into_iter().filter(|entry| !entry.is_empty());
    entries
        .map(|entry| match entry.split_once('=') {
            Some((prefix, path)) => SearchPath {
                prefix: prefix.to_owned(),
                path: path.to_owned(),
            },
            None => SearchPath {
                prefix: String::new(),
                path: entry,
            },
        })
        .collect()
}

/// Schemes of addresses without `//` (Nix manual, "Lookup path").
const PSEUDO_SCHEMES: [&str; 2] = ["channel", "flake"];

fn is_pseudo_address(path: &str) -> bool {
    let scheme = path.split_once(':').map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| PSEUDO_SCHEMES.contains(&scheme))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_of_an_address_ends_no_entry() {
        let pairs = |text: &str| {
            let entries = entries(text).into_iter();
            entries.map(|e| (e.prefix, e.path)).collect::<Vec<_>>()
        };
        let pair = |prefix: &str, path: &str| (prefix.to_owned(), path.to_owned());
        assert_eq!(
            pairs("nixpkgs=/a:/b::x=https://h/c.tar.gz:y=channel:nixos-24.11:flake:n:z=/c=d"),
            [
                pair("nixpkgs", "/a"),
                pair("", "/b"),
                pair("x", "https://h/c.tar.gz"),
                pair("y", "channel:nixos-24.11"),
                pair("", "flake:n"),
                pair("z", "/c=d"),
            ]
        );
        assert_eq!(pairs(""), []);
    }
}
