//! Address pairs for containers. Pure.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use crate::Error;

/// Prefix length of the subnet of one pair.
const SUBNET: u8 = 24;

/// Length of a pool's longest prefix: four subnets, two of which are used.
const LONGEST_PREFIX: u8 = 22;

/// An IPv4 network from which containers get their address pairs.
///
/// Its subnets of length 24 are numbered from 0, and number N belongs to one
/// container: in `10.233.0.0/16`, `10.233.N.1` is the host's end and
/// `10.233.N.2` the container's. The first subnet and the last are left out, as
/// nixpkgs' `nixos-container` does, which counts from 1 to 254.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    network: Ipv4Net,
}

/// The two addresses of a container's veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Address of the end on the host.
    pub host: Ipv4Addr,
    /// Address of the end in the container.
    pub container: Ipv4Addr,
}

impl Default for Pool {
    /// `10.233.0.0/16`, the network of nixpkgs' `nixos-container`.
    fn default() -> Self {
        Self {
            network: Ipv4Net::new_assert(Ipv4Addr::new(10, 233, 0, 0), 16),
        }
    }
}

impl Pool {
    /// A pool of the subnets of `network`. Host bits are ignored.
    ///
    /// # Errors
    ///
    /// [`Error::PoolTooSmall`] if its prefix length is more than 22.
    pub fn new(network: Ipv4Net) -> Result<Self, Error> {
        if network.prefix_len() > LONGEST_PREFIX {
            return Err(Error::PoolTooSmall(network));
        }
        Ok(Self {
            network: network.trunc(),
        })
    }

    /// The pair with the lowest number whose subnet does not overlap with any of
    /// `taken`: addresses (with their prefix lengths) and destinations of routes.
    /// `None` if there is no such pair.
    ///
    /// A network that is wider than the pool takes only the address that it
    /// names: a default route, or a company's `10.0.0.0/8`, says nothing about a
    /// single pair, whose routes are longer and come before it. A network as wide
    /// as the pool is about just these addresses, and takes them all.
    #[must_use]
    pub fn first_free(&self, taken: &[IpNet]) -> Option<Pair> {
        let taken: Vec<Ipv4Net> = taken
            .iter()
            .filter_map(|network| match network {
                IpNet::V4(network) => Some(*network),
                IpNet::V6(_) => None,
            })
            .collect();
        self.subnets()
            .find(|subnet| !taken.iter().any(|taken| self.takes(*taken, *subnet)))
            .map(pair)
    }

    /// The subnets without the first and the last.
    fn subnets(&self) -> impl Iterator<Item = Ipv4Net> {
        let last = self.network.broadcast();
        let subnets = self.network.subnets(SUBNET).into_iter().flatten();
        subnets
            .skip(1)
            .filter(move |subnet| !subnet.contains(&last))
    }

    fn takes(&self, taken: Ipv4Net, subnet: Ipv4Net) -> bool {
        if subnet.contains(&taken.addr()) {
            return true;
        }
        let wider_than_pool = taken.prefix_len() < self.network.prefix_len();
        !wider_than_pool && taken.contains(&subnet)
    }
}

fn pair(subnet: Ipv4Net) -> Pair {
    let address = |number| Ipv4Addr::from(u32::from(subnet.network()) + number);
    Pair {
        host: address(1),
        container: address(2),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nets(taken: &[&str]) -> Vec<IpNet> {
        taken
            .iter()
            .map(|network| network.parse().unwrap())
            .collect()
    }

    /// The number of the first free pair of 10.233.0.0/16.
    fn first(taken: &[&str]) -> Option<u8> {
        let pair = Pool::default().first_free(&nets(taken))?;
        let [10, 233, number, 1] = pair.host.octets() else {
            panic!("host address {}", pair.host);
        };
        assert_eq!(pair.container.octets(), [10, 233, number, 2]);
        Some(number)
    }

    #[test]
    fn starts_at_one() {
        assert_eq!(first(&[]), Some(1));
    }

    #[test]
    fn skips_addresses_of_other_containers() {
        assert_eq!(
            first(&["10.233.1.1/32", "10.233.2.2/32", "10.233.4.1/32"]),
            Some(3)
        );
    }

    #[test]
    fn skips_any_address_and_route_in_a_subnet() {
        assert_eq!(first(&["10.233.1.200/32", "10.233.2.128/25"]), Some(3));
    }

    #[test]
    fn skips_a_route_that_covers_many_pairs() {
        assert_eq!(first(&["10.233.0.0/18"]), Some(64));
        assert_eq!(first(&["10.233.0.0/16"]), None);
    }

    #[test]
    fn wider_routes_do_not_matter() {
        assert_eq!(
            first(&["0.0.0.0/0", "0.0.0.0/1", "10.0.0.0/8", "10.232.0.0/15"]),
            Some(1)
        );
    }

    #[test]
    fn an_address_matters_however_wide_its_network() {
        assert_eq!(first(&["10.233.1.77/8"]), Some(2));
    }

    #[test]
    fn other_networks_do_not_matter() {
        assert_eq!(
            first(&["10.234.1.1/32", "192.168.0.0/16", "fd00::/8"]),
            Some(1)
        );
    }

    #[test]
    fn ends_at_254() {
        let all: Vec<IpNet> = (1..=254)
            .map(|number| format!("10.233.{number}.2/32").parse().unwrap())
            .collect();
        assert_eq!(Pool::default().first_free(&all), None);
        let last = Pool::default().first_free(&all[..253]).unwrap();
        assert_eq!(last.host, Ipv4Addr::new(10, 233, 254, 1));
    }

    #[test]
    fn a_pool_of_another_size() {
        let pool = Pool::new("172.16.0.0/12".parse().unwrap()).unwrap();
        let taken = nets(&["172.16.0.0/16"]);
        assert_eq!(
            pool.first_free(&taken).unwrap().host,
            Ipv4Addr::new(172, 17, 0, 1)
        );
        assert!(Pool::new("10.0.0.0/23".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn a_found_pair_is_in_the_pool_and_free(
            taken in prop::collection::vec((0u8..=255, 0u8..=255, 8u8..=32), 0..40),
        ) {
            let pool = Pool::default();
            let taken: Vec<IpNet> = taken
                .into_iter()
                .map(|(third, fourth, length)| {
                    IpNet::new(Ipv4Addr::new(10, 233, third, fourth).into(), length).unwrap()
                })
                .collect();
            if let Some(pair) = pool.first_free(&taken) {
                prop_assert!(pool.network.contains(&pair.host));
                for network in taken.iter().filter(|network| network.prefix_len() >= 16) {
                    prop_assert!(!network.contains(&std::net::IpAddr::from(pair.host)));
                    prop_assert!(!network.contains(&std::net::IpAddr::from(pair.container)));
                }
            }
        }
    }
}
