//! Hardware addresses of Ethernet links.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use fnv::FnvHasher;
use serde::{Serialize, Serializer};

use crate::{ContainerName, Error};

/// A MAC address of a single interface: not of a group (the lowest bit of the
/// first octet, IEEE 802), and not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Validates `octets`.
    ///
    /// # Errors
    ///
    /// [`Error::MacAddress`] if no interface can have this address
    /// (`is_valid_ether_addr` in the kernel's linux/etherdevice.h).
    pub fn new(octets: [u8; 6]) -> Result<Self, Error> {
        let address = Self(octets);
        if octets[0] & 1 == 1 || octets == [0; 6] {
            return Err(Error::MacAddress(address.to_string()));
        }
        Ok(address)
    }

    /// The address of a container's link for which none is given: the same at each
    /// start, so that it keeps its lease from a DHCP server, but different on
    /// another machine and for another link.
    pub(crate) fn derived(machine_id: [u8; 16], container: &ContainerName, link: &str) -> Self {
        // A zero ends each name, since neither contains one. The hash has a
        // published definition (RFC 9923) and is the same in each release.
        let mut hasher = FnvHasher::default();
        hasher.write(&machine_id);
        for name in [container.as_str(), link] {
            hasher.write(name.as_bytes());
            hasher.write(&[0]);
        }
        let [mut first, b, c, d, e, g, ..] = hasher.finish().to_be_bytes();
        // Locally administered, and not of a group (IEEE 802).
        first = first & 0b1111_1100 | 0b10;
        Self([first, b, c, d, e, g])
    }

    /// The six octets in the order of transmission.
    #[must_use]
    pub fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl FromStr for MacAddress {
    type Err = Error;

    /// Six pairs of hexadecimal digits with a colon or a dash between each two.
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::MacAddress(text.to_owned());
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut octets = [0; 6];
        let mut pairs = text.split(separator);
        for octet in &mut octets {
            let pair = pairs.next().filter(|pair| is_octet(pair));
            *octet = pair
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(invalid)?;
        }
        if pairs.next().is_some() {
            return Err(invalid());
        }
        Self::new(octets)
    }
}

fn is_octet(pair: &str) -> bool {
    pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit())
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl Serialize for MacAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn either_separator() {
        for text in ["02:00:5e:10:00:ff", "02-00-5E-10-00-FF"] {
            let address: MacAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), "02:00:5e:10:00:ff");
        }
    }

    #[test]
    fn what_no_interface_can_have() {
        for bad in [
            "",
            "02:00:5e:10:00",
            "02:00:5e:10:00:ff:00",
            "02:00:5e:10:00:+f",
            "02:00:5e:10:00:f",
            "02:00-5e:10:00:ff",
            "00:00:00:00:00:00",
            "01:00:5e:10:00:ff",
            "ff:ff:ff:ff:ff:ff",
        ] {
            assert!(bad.parse::<MacAddress>().is_err(), "{bad:?}");
        }
    }

    fn derived(machine: u8, container: &str, link: &str) -> MacAddress {
        let container = ContainerName::new(container).unwrap();
        MacAddress::derived([machine; 16], &container, link)
    }

    /// A container that is started by the next release keeps its address.
    #[test]
    fn derived_addresses_never_change() {
        assert_eq!(derived(7, "web", "eth0").to_string(), "3e:d3:04:58:32:24");
    }

    #[test]
    fn derived_addresses_differ_by_machine_container_and_link() {
        let address = derived(7, "web", "eth0");
        for other in [
            derived(8, "web", "eth0"),
            derived(7, "we", "beth0"),
            derived(7, "web", "eth1"),
        ] {
            assert_ne!(address, other);
        }
    }

    proptest! {
        #[test]
        fn derived_addresses_are_valid(
            machine: [u8; 16], container in "[a-z]{1,9}", link in "[a-z]{1,9}",
        ) {
            let container = ContainerName::new(&container).unwrap();
            let octets = MacAddress::derived(machine, &container, &link).octets();
            prop_assert!(MacAddress::new(octets).is_ok());
            prop_assert_eq!(octets[0] & 0b11, 0b10);
        }

        #[test]
        fn what_is_shown_is_read(octets: [u8; 6]) {
            if let Ok(address) = MacAddress::new(octets) {
                prop_assert_eq!(address.to_string().parse::<MacAddress>().unwrap(), address);
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,24}") {
            let _ = text.parse::<MacAddress>();
        }
    }
}
