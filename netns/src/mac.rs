//! Hardware addresses of Ethernet links.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::Error;

/// A MAC address that one interface can have: not a group's (the lowest bit of
/// the first octet, IEEE 802), and not all zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Checks `octets` and takes them.
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

    /// The six octets in the order of the wire.
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

    proptest! {
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
