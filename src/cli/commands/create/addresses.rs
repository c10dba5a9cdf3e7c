//! Addresses for a container that is being created.

use std::fs;

use anyhow::{Context, Result, bail};
use netns::ipnet::{IpNet, Ipv4Net};

use crate::cli::args::Create;
use crate::config::ContainerConfig;
use crate::container::name::ContainerName;
use crate::container::paths::Places;
use crate::container::registry;

/// Chooses the host's and the container's address: those given by the user, else
/// those of the replaced container, else the next free pair.
pub fn choose(
    arguments: &Create,
    old: Option<&ContainerConfig>,
    taken: Vec<(String, IpNet)>,
) -> Result<(Ipv4Net, Ipv4Net)> {
    let pool = AddressPool::from_environment()?;
    let mut networks = netns::host_networks()?;
    let kept = old.and_then(|old| old.host_address.zip(old.local_address));
    if let Some((host, local)) = arguments.host_address.zip(arguments.local_address) {
        if kept != Some((host, local)) {
            require_free(host, local, &taken, &networks)?;
        }
        return Ok((host, local));
    }
    if let Some(kept) = kept {
        return Ok(kept);
    }
    networks.extend(taken.into_iter().map(|(_, address)| address));
    match pool.pairs.first_free(&networks) {
        Some(pair) => Ok((pair.host.into(), pair.container.into())),
        None => bail!(
            "no address pair is free in {}; give one with --host-address and --local-address, \
             destroy a container, or set {ADDRESS_POOL} to a larger network",
            pool.network
        ),
    }
}

/// The variable with the network that addresses of containers are taken from.
const ADDRESS_POOL: &str = "NIXOS_CONTAINER_ADDRESS_POOL";

/// The network of nixpkgs' tool.
const DEFAULT_ADDRESS_POOL: &str = "10.233.0.0/16";

struct AddressPool {
    network: Ipv4Net,
    pairs: netns::Pool,
}

impl AddressPool {
    /// Reads the environment, which also has the places of containers: a second
    /// set of containers needs another pool as well as other places.
    fn from_environment() -> Result<Self> {
        let named = std::env::var_os(ADDRESS_POOL).filter(|value| !value.is_empty());
        let text = named.unwrap_or_else(|| DEFAULT_ADDRESS_POOL.into());
        Self::parse(&text.to_string_lossy())
    }

    fn parse(text: &str) -> Result<Self> {
        let invalid = || {
            format!(
                "{ADDRESS_POOL} is {text:?}, but must be an IPv4 network, as {DEFAULT_ADDRESS_POOL}"
            )
        };
        let network: Ipv4Net = text.parse().with_context(invalid)?;
        let pairs = netns::Pool::new(network).with_context(invalid)?;
        Ok(Self { network, pairs })
    }
}

/// Checks a pair of addresses that the user gave.
fn require_free(
    host: Ipv4Net,
    local: Ipv4Net,
    taken: &[(String, IpNet)],
    networks: &[IpNet],
) -> Result<()> {
    let or_none = "or none to get the next free pair";
    for address in [host.addr(), local.addr()] {
        let same = |(_, other): &&(String, IpNet)| other.addr() == address;
        if let Some((owner, _)) = taken.iter().find(same) {
            bail!(
                "the address {address} is taken by container '{owner}'; choose another, {or_none}"
            );
        }
    }
    let local = local.addr();
    if host.addr() == local {
        bail!("the host and the container cannot both be {local}; choose two addresses, {or_none}");
    }
    if networks.iter().any(|network| network.addr() == local) {
        bail!("the address {local} is the host's own; choose another, {or_none}");
    }
    Ok(())
}

/// The addresses of all other containers and reservations, each with the name of
/// its container.
pub fn in_use(places: &Places, besides: &ContainerName) -> Result<Vec<(String, IpNet)>> {
    let created = registry::all(places)?.into_iter();
    let created =
        created.map(|container| (places.conf(container.name()), container.name().clone()));
    let reserved = registry::names(places, Places::name_of_reservation)?.into_iter();
    let reserved = reserved.map(|name| (places.reservation(&name), name));
    let mut addresses = Vec::new();
    for (path, owner) in created
        .chain(reserved)
        .filter(|(_, owner)| owner != besides)
    {
        // An invalid file, or one that was removed meanwhile, holds no addresses.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let config = ContainerConfig::parse(&path, &text).unwrap_or_default();
        addresses.extend(
            config
                .addresses()
                .map(|address| (owner.to_string(), address)),
        );
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_pool_is_a_network_with_room_for_pairs() {
        let pool = AddressPool::parse("172.20.0.0/14").expect("valid");
        let first = pool.pairs.first_free(&[]).expect("free");
        assert_eq!(first.host.to_string(), "172.20.1.1");
        assert!(AddressPool::parse(DEFAULT_ADDRESS_POOL).is_ok());
        for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/16", "pool"] {
            let error = AddressPool::parse(bad).err().expect(bad);
            let message = format!("{error:#}");
            let start = format!("NIXOS_CONTAINER_ADDRESS_POOL is {bad:?}, but must be an IPv4");
            assert!(message.starts_with(&start), "{message}");
        }
        let small = AddressPool::parse("10.0.0.0/23").err().expect("too small");
        assert!(format!("{small:#}").ends_with("its prefix length must be 22 or less"));
    }
}
