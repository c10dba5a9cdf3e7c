//! `--set-credential` and `--load-credential`.

use std::path::PathBuf;

use runtime::Secret;

/// A credential that the container's init gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Its name inside.
    pub id: String,
    /// Where it comes from.
    pub source: CredentialSource,
}

/// Where a credential comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum CredentialSource {
    /// The configuration.
    Value(Secret),
    /// A file of the host.
    File(PathBuf),
    /// The supervisor's own credential of this name, which systemd has given it
    /// (`LoadCredential=` of `man 5 systemd.exec`).
    Own(String),
}
