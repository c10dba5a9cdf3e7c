//! Paths in the Nix store, as links name them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// The directory of all store paths.
const STORE: &str = "/nix/store";

/// The length of the hash before a store path's name, in characters
/// (`src/libstore/path.hh` of Nix, `HashLen`).
const HASH_LENGTH: usize = 32;

/// The longest name behind the hash (`src/libstore/path.hh` of Nix, `MaxPathLen`).
const MAX_NAME_LENGTH: usize = 211;

/// The name of a store path in the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StorePath(OsString);

impl StorePath {
    /// The store path that `target` is, or is below; `None` if that is no valid name of
    /// a store path, or `target` has other components than names.
    pub fn containing(target: &Path) -> Option<Self> {
        let mut below = target.strip_prefix(STORE).ok()?.components();
        let Some(Component::Normal(name)) = below.next() else {
            return None;
        };
        let names = |component| matches!(component, Component::Normal(_));
        (is_valid(name) && below.all(names)).then(|| Self(name.to_owned()))
    }

    /// The store path that `target` is, and not one that it is below.
    pub fn exactly(target: &Path) -> Option<Self> {
        Self::containing(target).filter(|path| path.path() == target)
    }

    /// Its name in the store.
    pub fn name(&self) -> &OsStr {
        &self.0
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        Path::new(STORE).join(&self.0)
    }

    /// Whether it is in the store.
    pub fn exists(&self) -> bool {
        fs::symlink_metadata(self.path()).is_ok()
    }
}

/// The form of a name in the store (`src/libstore/path.cc` of Nix, `checkName`).
fn is_valid(name: &OsStr) -> bool {
    let Some((hash, name)) = name.as_bytes().split_at_checked(HASH_LENGTH) else {
        return false;
    };
    let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(byte);
    let in_hash = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
    hash.iter().all(in_hash)
        && name.strip_prefix(b"-").is_some_and(|name| {
            (1..=MAX_NAME_LENGTH).contains(&name.len()) && name.iter().all(in_name)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "ccp3f1d7f815g7iwqyxrkj24wxmv6gh5";

    #[test]
    fn only_paths_in_the_store_are_store_paths() {
        let path = |text: &str| StorePath::containing(Path::new(text)).map(|path| path.path());
        let foo = format!("/nix/store/{HASH}-foo-1.0");
        for below in ["", "/bin", "/bin/x"] {
            assert_eq!(path(&format!("{foo}{below}")), Some(PathBuf::from(&foo)));
        }
        for other in [
            "/nix/store".to_owned(),
            "/nix/store/.links/x".to_owned(),
            format!("/nix/store/{HASH}"),
            format!("/nix/store/{HASH}-"),
            format!("/nix/store/{HASH}-a b"),
            format!("/nix/store/{HASH}-{}", "a".repeat(212)),
            format!("/nix/store/../store/{HASH}-a"),
            format!("{foo}/../x"),
            format!("nix/store/{HASH}-a"),
            format!("/nix/store/{}-a", HASH.to_uppercase()),
        ] {
            assert_eq!(path(&other), None, "{other}");
        }
        let exactly = |text: &str| StorePath::exactly(Path::new(text)).is_some();
        assert!(exactly(&foo) && !exactly(&format!("{foo}/bin")));
    }
}
