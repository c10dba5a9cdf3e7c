//! Obstacles on the host's side of a forwarded port.

use std::net::{IpAddr, SocketAddr};

use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use crate::HostLink;
use crate::firewall::{Family, Protocol, Spec, Step, plan};
use crate::link::bridge;

/// A sentence for each address of the host without a counterpart in the
/// container, and for each port of the host that a process listens on.
pub fn sentences(spec: &Spec) -> Vec<String> {
    let plan = plan(spec);
    let mut sentences = without_counterpart(spec);
    sentences.extend(bridged_loopback(spec, &plan));
    for step in plan {
        let Step::Forward {
            protocol, listen, ..
        } = step
        else {
            continue;
        };
        match try_to_bind(protocol, listen) {
            Err(Errno::ADDRINUSE) => sentences.push(format!(
                "a process on the host listens on {protocol} {listen}, too; it cannot be \
                 reached there while the port is forwarded"
            )),
            Err(Errno::ADDRNOTAVAIL) => sentences.push(format!(
                "no link of the host has the address {}, where {protocol} port {} is forwarded",
                listen.ip(),
                listen.port(),
            )),
            // Another error does not say that the port is taken.
            Ok(()) | Err(_) => {}
        }
    }
    sentences
}

fn without_counterpart(spec: &Spec) -> Vec<String> {
    let reachable = |address: &&IpAddr| match Family::of(**address) {
        Family::V4 => spec.address.is_some(),
        Family::V6 => spec.address6.is_some(),
    };
    let bound = spec.bind_host.iter();
    let lost = bound.filter(|address| !spec.forwards.is_empty() && !reachable(address));
    lost.map(|address| {
        format!(
            "no port is forwarded on {address}: the container has no {} address",
            Family::of(*address)
        )
    })
    .collect()
}

/// If netfilter sees the packets in a bridge, answers to `::1` (`loopback6.rs`) are
/// lost: netfilter reverses the translation before the bridge hands them to the
/// host, which drops packets with `::1` from a link (`ip6_rcv_core` in
/// net/ipv6/ip6_input.c). For 127.0.0.1 there is no such rule.
fn bridged_loopback(spec: &Spec, plan: &[Step]) -> Option<String> {
    let link = plan.iter().find_map(|step| match step {
        Step::RouteLoopback {
            family: Family::V6,
            link,
        } => Some(link),
        _ => None,
    })?;
    let is_bridge = HostLink::veth(&spec.container).interface() != link;
    (is_bridge && bridge::netfilter_sees_bridges_ipv6()).then(|| {
        format!(
            "the forwarded ports do not answer on the host's ::1, because netfilter sees the \
             packets in bridge {link}; unless that is needed, switch it off with `sysctl \
             net.bridge.bridge-nf-call-ip6tables=0`"
        )
    })
}

/// Binds a socket as a server would, and closes it.
fn try_to_bind(protocol: Protocol, listen: SocketAddr) -> Result<(), Errno> {
    let family = match listen {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let (kind, protocol) = match protocol {
        Protocol::Tcp => (SocketType::STREAM, ipproto::TCP),
        Protocol::Udp => (SocketType::DGRAM, ipproto::UDP),
        Protocol::Sctp => (SocketType::STREAM, ipproto::SCTP),
    };
    let socket = net::socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if kind == SocketType::STREAM {
        // Connections that have ended do not count (tcp(7), TIME_WAIT).
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    if listen.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    net::bind(&socket, &listen)
}
