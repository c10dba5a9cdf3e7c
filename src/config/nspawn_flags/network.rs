//! Flags that say what the container is connected to.

use std::path::PathBuf;

use netns::firewall::Forward;
use netns::{ExtraVeth, HostInterface, InterfaceName, Veth, ZoneName};

use super::{Flag, Meaning};
use crate::config::resolv_conf;
use crate::config::values;

/// A flag that connects the container.
#[derive(Debug, Clone, PartialEq)]
pub enum NetworkFlag {
    /// `--private-network`
    PrivateNetwork,
    /// `--network-veth`, `-n`
    Veth,
    /// `--network-veth-extra=HOST[:CONTAINER]`
    ExtraVeth(ExtraVeth),
    /// `--network-bridge=`
    Bridge(InterfaceName),
    /// `--network-zone=`
    Zone(ZoneName),
    /// `--network-interface=HOST[:CONTAINER]`
    Interface(HostInterface),
    /// `--network-macvlan=HOST[:CONTAINER]`
    Macvlan(HostInterface),
    /// `--network-ipvlan=HOST[:CONTAINER]`
    Ipvlan(HostInterface),
    /// `--network-namespace-path=`
    NamespacePath(PathBuf),
    /// `--port=[PROTOCOL:]HOST[:CONTAINER]`, `-p`
    Port(Forward),
    /// `--resolv-conf=`
    ResolvConf(resolv_conf::Mode),
}

/// What one of these flags says; none if it is none of them.
pub(super) fn meaning(flag: &str) -> Option<Meaning> {
    Some(match flag {
        "--private-network" => Meaning::Alone(Flag::Network(NetworkFlag::PrivateNetwork)),
        "--network-veth" | "-n" => Meaning::Alone(Flag::Network(NetworkFlag::Veth)),
        "--network-veth-extra" => Meaning::With(|value| {
            extra_veth(value)
                .map(NetworkFlag::ExtraVeth)
                .map(Flag::Network)
        }),
        "--network-bridge" => Meaning::With(|value| {
            values::interface(value)
                .map(NetworkFlag::Bridge)
                .map(Flag::Network)
        }),
        "--network-zone" => {
            Meaning::With(|value| zone(value).map(NetworkFlag::Zone).map(Flag::Network))
        }
        "--network-interface" => Meaning::With(|value| {
            values::host_interface(value)
                .map(NetworkFlag::Interface)
                .map(Flag::Network)
        }),
        "--network-macvlan" => Meaning::With(|value| {
            values::host_interface(value)
                .map(NetworkFlag::Macvlan)
                .map(Flag::Network)
        }),
        "--network-ipvlan" => Meaning::With(|value| {
            values::host_interface(value)
                .map(NetworkFlag::Ipvlan)
                .map(Flag::Network)
        }),
        "--network-namespace-path" => Meaning::With(|value| {
            values::path(value)
                .map(NetworkFlag::NamespacePath)
                .map(Flag::Network)
        }),
        "--port" | "-p" => Meaning::With(|value| {
            values::port(value)
                .map(NetworkFlag::Port)
                .map(Flag::Network)
        }),
        "--resolv-conf" => Meaning::With(|value| {
            resolv_conf::Mode::parse(value)
                .map(NetworkFlag::ResolvConf)
                .map(Flag::Network)
        }),
        _ => return None,
    })
}

/// Without a name of its own, the container's end is called as the host's.
fn extra_veth(value: &str) -> Result<ExtraVeth, &'static str> {
    let expected = "names of the host's and the container's end of a link, as lan-web:lan0";
    let (outside, inside) = value.split_once(':').unwrap_or((value, value));
    Ok(ExtraVeth {
        name: values::interface(inside).map_err(|_| expected)?,
        host_name: Some(values::interface(outside).map_err(|_| expected)?),
        veth: Veth::default(),
    })
}

fn zone(value: &str) -> Result<ZoneName, &'static str> {
    ZoneName::new(value).map_err(|_| "a zone's name of at most 12 characters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::nspawn_flags::parse;

    fn interface(name: &str) -> InterfaceName {
        InterfaceName::new(name).expect("valid")
    }

    #[test]
    fn every_network_flag_is_understood() {
        let text = "--private-network --network-veth-extra=lan-web:lan0 \
                    --network-veth-extra wan --network-zone=inner --network-interface=eth1 \
                    --network-macvlan=eth2:mac0 --network-ipvlan=eth3 \
                    --network-namespace-path=/run/netns/foo --resolv-conf=off";
        let extra = |outside: &str, inside: &str| {
            NetworkFlag::ExtraVeth(ExtraVeth {
                name: interface(inside),
                host_name: Some(interface(outside)),
                veth: Veth::default(),
            })
        };
        let moved = |outside: &str, inside: Option<&str>| HostInterface {
            interface: interface(outside),
            name: inside.map(interface),
        };
        assert_eq!(
            parse(text),
            Ok([
                NetworkFlag::PrivateNetwork,
                extra("lan-web", "lan0"),
                extra("wan", "wan"),
                NetworkFlag::Zone(ZoneName::new("inner").expect("valid")),
                NetworkFlag::Interface(moved("eth1", None)),
                NetworkFlag::Macvlan(moved("eth2", Some("mac0"))),
                NetworkFlag::Ipvlan(moved("eth3", None)),
                NetworkFlag::NamespacePath("/run/netns/foo".into()),
                NetworkFlag::ResolvConf(resolv_conf::Mode::Off),
            ]
            .map(Flag::Network)
            .into())
        );
    }
}
