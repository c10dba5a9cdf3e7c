//! Turns a [`Spec`] into [`Step`]s. Pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Family, Spec, Step};

/// The steps for the forwarded ports and the NAT of a container; none if it has
/// neither.
#[must_use]
pub fn plan(spec: &Spec) -> Vec<Step> {
    let mut rules = Vec::new();
    let mut settings = Vec::new();
    let addresses = [spec.address.map(IpNet::V4), spec.address6.map(IpNet::V6)];
    for address in addresses.into_iter().flatten() {
        let forwards = forwards_to(spec, address.addr());
        let listens = |such: fn(IpAddr) -> bool| {
            forwards
                .iter()
                .any(|step| matches!(step, Step::Forward { listen, .. } if such(listen.ip())))
        };
        let over_loopback = listens(|listen| listen.is_loopback() || listen.is_unspecified());
        let over_others = listens(|listen| !listen.is_loopback());

        let family = Family::of(address.addr());
        let link = || spec.link.clone();
        if over_loopback && family == Family::V4 {
            rules.push(Step::GuardLoopback { link: link() });
        }
        rules.extend(forwards);
        if over_loopback {
            rules.push(Step::Masquerade {
                sources: family.loopback(),
                to: address.addr(),
            });
            settings.push(Step::RouteLoopback {
                family,
                link: link(),
            });
        }
        if over_others {
            rules.push(Step::Masquerade {
                sources: address.trunc(),
                to: address.addr(),
            });
        }
        if spec.nat {
            rules.push(Step::MasqueradeOutside {
                source: address.addr(),
            });
        }
        if spec.nat || over_others {
            settings.push(Step::EnableForwarding { family });
        }
    }
    // The rules come first: the guard has to be there before `route_localnet`.
    rules.extend(settings);
    rules
}

/// The forwards to one address of the container, from the host's addresses of the
/// same family.
fn forwards_to(spec: &Spec, address: IpAddr) -> Vec<Step> {
    let listen = listen_addresses(&spec.bind_host, Family::of(address));
    let on = |listen: &IpAddr| {
        let listen = *listen;
        spec.forwards.iter().map(move |forward| Step::Forward {
            protocol: forward.protocol,
            listen: SocketAddr::new(listen, forward.host_port),
            to: SocketAddr::new(address, forward.container_port),
        })
    };
    listen.iter().flat_map(on).collect()
}

fn listen_addresses(bind_host: &[IpAddr], family: Family) -> Vec<IpAddr> {
    if bind_host.is_empty() {
        return vec![family.any()];
    }
    let of_family = |address: &&IpAddr| Family::of(**address) == family;
    bind_host.iter().filter(of_family).copied().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ContainerName;
    use crate::firewall::{Forward, Protocol};

    fn spec() -> Spec {
        Spec {
            container: ContainerName::new("web").unwrap(),
            link: "ve-web".to_owned(),
            address: Some("10.233.1.2/32".parse().unwrap()),
            address6: Some("fd00::2/128".parse().unwrap()),
            forwards: vec![Forward {
                protocol: Protocol::Tcp,
                host_port: 8080,
                container_port: 80,
            }],
            bind_host: Vec::new(),
            nat: false,
        }
    }

    fn lines(spec: &Spec) -> Vec<String> {
        plan(spec).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_forward_in_both_families() {
        assert_eq!(
            lines(&spec()),
            [
                "drop packets from ve-web that have an address of 127.0.0.0/8",
                "forward tcp 0.0.0.0:8080 to 10.233.1.2:80",
                "masquerade forwarded connections from 127.0.0.0/8 to 10.233.1.2",
                "masquerade forwarded connections from 10.233.1.2/32 to 10.233.1.2",
                "forward tcp [::]:8080 to [fd00::2]:80",
                "masquerade forwarded connections from ::1/128 to fd00::2",
                "masquerade forwarded connections from fd00::2/128 to fd00::2",
                "set net.ipv4.conf.ve-web.route_localnet to 1",
                "set net.ipv4.ip_forward to 1 until the last container goes",
                "add local route to ::1 through ve-web",
                "set net.ipv6.conf.all.forwarding to 1, and accept_ra to 2 for uplinks where it \
                 is 1, until the last container goes",
            ]
        );
    }

    #[test]
    fn nat_alone() {
        let spec = Spec {
            forwards: Vec::new(),
            address6: None,
            nat: true,
            ..spec()
        };
        assert_eq!(
            lines(&spec),
            [
                "masquerade packets from 10.233.1.2 through links other than those of containers",
                "set net.ipv4.ip_forward to 1 until the last container goes",
            ]
        );
    }

    #[test]
    fn addresses_to_listen_on_decide_what_is_needed() {
        let bound = |addresses: &[&str]| Spec {
            bind_host: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            ..spec()
        };
        assert_eq!(
            lines(&bound(&["192.0.2.1"])),
            [
                "forward tcp 192.0.2.1:8080 to 10.233.1.2:80",
                "masquerade forwarded connections from 10.233.1.2/32 to 10.233.1.2",
                "set net.ipv4.ip_forward to 1 until the last container goes",
            ]
        );
        assert_eq!(
            lines(&bound(&["::1"])),
            [
                "forward tcp [::1]:8080 to [fd00::2]:80",
                "masquerade forwarded connections from ::1/128 to fd00::2",
                "add local route to ::1 through ve-web",
            ]
        );
    }

    #[test]
    fn neither_ports_nor_nat_nor_addresses() {
        let without_forwards = Spec {
            forwards: Vec::new(),
            ..spec()
        };
        let without_addresses = Spec {
            address: None,
            address6: None,
            nat: true,
            ..spec()
        };
        assert_eq!(plan(&without_forwards), []);
        assert_eq!(plan(&without_addresses), []);
    }
}
