//! The IPv4 networks of the host, and the addresses in a namespace.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ipnet::IpNet;

use super::{address, netlink, route};
use crate::Error;

/// The addresses of the links in the current network namespace, with their
/// prefix lengths, and the destinations in its routing tables, the default
/// route's `0.0.0.0/0` included. IPv4 only; sorted, each once.
///
/// # Errors
///
/// [`Error::List`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
pub fn host_networks() -> Result<Vec<IpNet>, Error> {
    netlink::block_on(async {
        let netlink = netlink::connect()?;
        let addresses = address::list_v4(&netlink).await;
        let routes = route::list_v4(&netlink).await;
        let mut networks = addresses.map_err(Error::list("addresses"))?;
        networks.extend(routes.map_err(Error::list("routes"))?);
        networks.sort_unstable();
        networks.dedup();
        Ok(networks)
    })
}

/// The addresses in a network namespace that other hosts can reach: those of IPv4
/// first, and of each family in the order of links.
///
/// # Errors
///
/// [`Error::List`] if the kernel refuses, [`Error::Prepare`] if it cannot be
/// asked.
///
/// # Aborts
///
/// If the kernel does not let the thread back into its own namespace.
pub fn addresses_in(namespace: BorrowedFd<'_>) -> Result<Vec<IpAddr>, Error> {
    netlink::block_on(async {
        let netlink = netlink::connect_in(namespace)?;
        let addresses = address::list_global(&netlink).await;
        addresses.map_err(Error::list("addresses"))
    })
}
