//! Names of network interfaces on the host, derived from a container's name.
//!
//! The kernel gives an interface name 15 bytes (`IFNAMSIZ` less the NUL,
//! `linux/if.h`), and an alternative name 127 (`ALTIFNAMSIZ` likewise).

use std::{fmt, hash::Hasher};

use fnv::FnvHasher;

use crate::Error;

/// Bytes in an interface name: `IFNAMSIZ` less the NUL.
const INTERFACE_NAME_MAX: usize = 15;

/// Bytes in a container's name. With a prefix of three it stays far below the
/// 127 bytes of an alternative interface name.
const CONTAINER_NAME_MAX: usize = 64;

/// Stands between the readable beginning and the hash in a shortened name. No
/// container's name can contain it, so a shortened name never equals the
/// unshortened name of another container.
const CUT_MARK: char = '~';

/// Digits of the hash in a shortened name, of five bits each.
const HASH_DIGITS: usize = 7;

/// A container's name: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerName(String);

impl ContainerName {
    /// Checks `name` and takes it.
    ///
    /// # Errors
    ///
    /// [`Error::ContainerName`] if the name is empty, too long, or has a
    /// character that is not in the set.
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=CONTAINER_NAME_MAX).contains(&name.len()) && name.bytes().all(allowed) {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::ContainerName(name.to_owned()))
        }
    }

    /// The name as given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a container's link on the host.
///
/// Where the full name has more than 15 bytes, the interface gets a shortened
/// name, and the full one as its alternative name, by which ip(8) and others
/// find it just as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLink {
    interface: String,
    full: String,
}

impl HostLink {
    /// The host's end of the container's veth pair: `ve-NAME`, as
    /// systemd-nspawn and NixOS name it.
    #[must_use]
    pub fn veth(container: &ContainerName) -> Self {
        Self::with_prefix("ve-", container)
    }

    fn with_prefix(prefix: &str, container: &ContainerName) -> Self {
        let full = format!("{prefix}{}", container.as_str());
        Self {
            interface: shorten(&full),
            full,
        }
    }

    /// The interface's name, at most 15 bytes.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The full name, where the interface could not have it.
    #[must_use]
    pub fn altname(&self) -> Option<&str> {
        (self.interface != self.full).then_some(self.full.as_str())
    }
}

impl fmt::Display for HostLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)
    }
}

/// `full` itself if an interface can have this name, else its beginning and a
/// hash of all of it. `full` is ASCII.
fn shorten(full: &str) -> String {
    if full.len() <= INTERFACE_NAME_MAX {
        return full.to_owned();
    }
    let beginning = INTERFACE_NAME_MAX - CUT_MARK.len_utf8() - HASH_DIGITS;
    format!("{}{CUT_MARK}{}", &full[..beginning], hash_digits(full))
}

/// The upper 35 bits of the 64-bit FNV-1a hash, as digits.
///
/// A link has to be found again by a later release of the program, so the hash
/// is one with a published definition (RFC 9923), which the standard library's
/// is not.
fn hash_digits(text: &str) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let mut hasher = FnvHasher::default();
    hasher.write(text.as_bytes());
    let hash = hasher.finish();
    (1..=HASH_DIGITS)
        .map(|digit| char::from(DIGITS[(hash >> (64 - 5 * digit)) as usize & 31]))
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn veth(container: &str) -> HostLink {
        HostLink::veth(&ContainerName::new(container).unwrap())
    }

    #[test]
    fn a_name_that_fits_stays_whole() {
        let link = veth("twelve-bytes");
        assert_eq!(link.interface(), "ve-twelve-bytes");
        assert_eq!(link.altname(), None);
    }

    #[test]
    fn a_name_that_does_not_fit_is_cut_and_kept_as_altname() {
        let link = veth("thirteen-byte");
        assert_eq!(link.interface().len(), 15);
        assert!(link.interface().starts_with("ve-thir~"), "{link}");
        assert_eq!(link.altname(), Some("ve-thirteen-byte"));
    }

    /// A running container's link must be found by the next release too.
    #[test]
    fn shortened_names_never_change() {
        assert_eq!(veth("thirteen-byte").interface(), "ve-thir~ijlph7p");
        assert_eq!(veth(&"a".repeat(64)).interface(), "ve-aaaa~fk4b405");
    }

    #[test]
    fn long_names_with_the_same_beginning_do_not_clash() {
        let names: HashSet<String> = (0..10_000)
            .map(|number| veth(&format!("container-number-{number}")).to_string())
            .collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn container_names_are_checked() {
        for bad in ["", "a b", "a/b", "a~b", "ä", "a.b", "a\n", &"a".repeat(65)] {
            assert!(ContainerName::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_the_kernel_takes(container in "[A-Za-z0-9_-]{1,64}") {
            let link = veth(&container);
            prop_assert!(link.interface().len() <= INTERFACE_NAME_MAX);
            // dev_valid_name() in the kernel's net/core/dev.c
            prop_assert!(!link.interface().contains(['/', ':']));
            prop_assert!(link.interface().bytes().all(|byte| byte.is_ascii_graphic()));
            let full = format!("ve-{container}");
            prop_assert_eq!(link.altname().unwrap_or(link.interface()), full);
        }
    }
}
