//! Secrets for a container.

use derive_more::{Debug, Display, From};
use serde::{Serialize, Serializer};

/// A credential for the container's init (Container Interface, "Credentials").
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Credential {
    /// The name of its file.
    pub id: String,
    /// The bytes of the file.
    pub contents: Secret,
}

/// Bytes that a printed plan does not show.
#[derive(Clone, PartialEq, Eq, Debug, Display, From)]
#[display("{} secret bytes", _0.len())]
#[debug("{self}")]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The bytes.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_secret_shows_only_its_length() {
        let secret = Secret::from(b"hush".to_vec());
        assert_eq!(
            format!("{secret} {secret:?}"),
            "4 secret bytes 4 secret bytes"
        );
        assert_eq!(secret.reveal(), b"hush");
    }
}
