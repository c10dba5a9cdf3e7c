//! Names of network interfaces: given ones, and those that derive from the name
//! of a container or of another interface.
//!
//! An interface's name has at most 15 bytes (`IFNAMSIZ` in `linux/if.h` less the
//! NUL), an alternative name at most 127 (`ALTIFNAMSIZ` likewise).

use std::fmt;

use siphasher::sip::SipHasher24;

use crate::{ContainerName, Error};

/// Bytes in an interface name: `IFNAMSIZ` less the NUL.
const INTERFACE_NAME_MAX: usize = 15;

/// Digits of the hash in a shortened name, of six bits each.
const HASH_DIGITS: usize = 4;

/// The key of the hash, that of systemd (`SHORTEN_IFNAME_HASH_KEY` in its
/// shared/netif-util.c).
const HASH_KEY: [u8; 16] = [
    0xe1, 0x90, 0xa4, 0x04, 0xa8, 0xef, 0x4b, 0x51, 0x8c, 0xcc, 0xc3, 0x3a, 0x9f, 0x11, 0xfc, 0xa2,
];

/// The name of a network interface, as a user gives it: 1 to 15 printable ASCII
/// characters without `/`, `:` and `%`, and neither `.` nor `..`.
///
/// The kernel accepts more (`dev_valid_name` in net/core/dev.c): `%`, which it
/// would replace by a number, and bytes that are not ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName(String);

impl InterfaceName {
    /// Validates `name`.
    ///
    /// # Errors
    ///
    /// [`Error::InterfaceName`] if no interface can have this name.
    pub fn new(name: &str) -> Result<Self, Error> {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/:%".contains(&byte);
        let length = (1..=INTERFACE_NAME_MAX).contains(&name.len());
        if length && name.bytes().all(allowed) && name != "." && name != ".." {
            Ok(Self(name.to_owned()))
        } else {
            Err(Error::InterfaceName(name.to_owned()))
        }
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The prefix of zones' bridges, as in systemd-nspawn's `--network-zone=`.
pub(crate) const ZONE_PREFIX: &str = "vz-";

/// The name of a zone: a bridge `vz-NAME` that exists while a container is in
/// it. 1 to 12 of the characters of an [`InterfaceName`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneName(InterfaceName);

impl ZoneName {
    /// Validates `name`, which is given without `vz-`.
    ///
    /// # Errors
    ///
    /// [`Error::ZoneName`] if no interface can have the name `vz-NAME`.
    pub fn new(name: &str) -> Result<Self, Error> {
        let bridge = InterfaceName::new(&format!("{ZONE_PREFIX}{name}"));
        match bridge {
            Ok(bridge) if !name.is_empty() => Ok(Self(bridge)),
            _ => Err(Error::ZoneName(name.to_owned())),
        }
    }

    /// The zone's bridge.
    #[must_use]
    pub fn bridge(&self) -> &InterfaceName {
        &self.0
    }
}

/// The name of a link that is created for a container.
///
/// If the full name has more than 15 bytes, the interface gets a shortened name,
/// and the full one as its alternative name, by which ip(8) and others find it as
/// well.
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
        Self::shortened(format!("ve-{}", container.as_str()))
    }

    /// The host's end of a veth pair if it is a port of a bridge: `vb-NAME`, as
    /// systemd-nspawn names it.
    #[must_use]
    pub fn bridge_port(container: &ContainerName) -> Self {
        Self::shortened(format!("vb-{}", container.as_str()))
    }

    /// The host's end of a further veth pair, the other end of which is `inside`:
    /// `ve-NAME.INSIDE`. The dot, which no container's name contains, tells it from
    /// the links of other containers.
    #[must_use]
    pub fn extra_veth(container: &ContainerName, inside: &InterfaceName) -> Self {
        Self::shortened(format!("ve-{}.{inside}", container.as_str()))
    }

    /// A macvlan link on the host's interface `parent`: `mv-PARENT`, as
    /// systemd-nspawn and NixOS name it.
    #[must_use]
    pub fn macvlan(parent: &InterfaceName) -> Self {
        Self::shortened(format!("mv-{parent}"))
    }

    /// An ipvlan link on the host's interface `parent`: `iv-PARENT`, as
    /// systemd-nspawn names it.
    #[must_use]
    pub fn ipvlan(parent: &InterfaceName) -> Self {
        Self::shortened(format!("iv-{parent}"))
    }

    fn shortened(full: String) -> Self {
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

    /// The full name, if it is too long for the interface.
    #[must_use]
    pub fn altname(&self) -> Option<&str> {
        (self.interface != self.full).then_some(self.full.as_str())
    }
}

impl From<InterfaceName> for HostLink {
    fn from(name: InterfaceName) -> Self {
        Self::shortened(name.0)
    }
}

impl fmt::Display for HostLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)
    }
}

/// The alternative name by which the container's further veth pair number
/// `number`, counted from 0, is found on the host. The colon tells it from the
/// names of interfaces.
pub(crate) fn extra_veth_mark(container: &ContainerName, number: usize) -> String {
    format!("nixos-container:{}:{number}", container.as_str())
}

/// `full` itself if it is short enough for an interface, else its beginning and a
/// hash of the whole, as systemd-nspawn shortens names since systemd 245: firewalls
/// and other configurations name links by it. `full` is ASCII.
fn shorten(full: &str) -> String {
    if full.len() <= INTERFACE_NAME_MAX {
        return full.to_owned();
    }
    let beginning = &full[..INTERFACE_NAME_MAX - HASH_DIGITS];
    format!("{beginning}{}", hash_digits(full))
}

/// The lowest 24 bits of the hash SipHash-2-4, in the alphabet of URLs (RFC 4648,
/// section 5).
fn hash_digits(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let hash = SipHasher24::new_with_key(&HASH_KEY).hash(text.as_bytes());
    (0..HASH_DIGITS)
        .rev()
        .map(|digit| char::from(DIGITS[(hash >> (6 * digit)) as usize & 63]))
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
        assert!(link.interface().starts_with("ve-thirteen"), "{link}");
        assert_eq!(link.altname(), Some("ve-thirteen-byte"));
    }

    /// The names that nixpkgs' test `containers-names` expects of systemd-nspawn.
    #[test]
    fn shortened_names_are_those_of_systemd_nspawn() {
        assert_eq!(veth("really-long-name").interface(), "ve-really-l3QgY");
        assert_eq!(
            veth("really-long-long-name-2").interface(),
            "ve-really-lFYWO"
        );
    }

    #[test]
    fn long_names_with_the_same_beginning_do_not_clash() {
        let names: HashSet<String> = (0..1_000)
            .map(|number| veth(&format!("container-number-{number}")).to_string())
            .collect();
        assert_eq!(names.len(), 1_000);
    }

    #[test]
    fn interface_names_are_checked() {
        for good in ["lo", "eth0", "br-lan.7", "enp0s31f6u1u2c2", "-", "a@b"] {
            assert!(InterfaceName::new(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            ".",
            "..",
            "a b",
            "a/b",
            "a:b",
            "eth%d",
            "ä",
            "a\n",
            "sixteen-bytes-is",
        ] {
            assert!(InterfaceName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_zone_has_twelve_bytes() {
        let zone = ZoneName::new("twelve-bytes").unwrap();
        assert_eq!(zone.bridge().as_str(), "vz-twelve-bytes");
        for bad in ["", "thirteen-byte", "a b"] {
            assert!(ZoneName::new(bad).is_err(), "{bad:?}");
        }
    }

    /// Two containers, one with a further pair, the other with a name that
    /// continues that of the first.
    #[test]
    fn a_further_pair_is_not_another_containers() {
        let web = ContainerName::new("web").unwrap();
        let link = HostLink::extra_veth(&web, &InterfaceName::new("lan").unwrap());
        assert_eq!(link.interface(), "ve-web.lan");
        assert_ne!(link, veth("web-lan"));
    }

    #[test]
    fn a_link_on_a_long_named_interface_is_cut() {
        let parent = InterfaceName::new("enx001122334455").unwrap();
        let link = HostLink::macvlan(&parent);
        assert_eq!(link.interface().len(), 15);
        assert_eq!(link.altname(), Some("mv-enx001122334455"));
        assert_eq!(
            HostLink::ipvlan(&parent).altname(),
            Some("iv-enx001122334455")
        );
    }

    proptest! {
        #[test]
        fn every_name_is_one_that_the_kernel_takes(container in "[A-Za-z0-9][A-Za-z0-9_-]{0,63}") {
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
