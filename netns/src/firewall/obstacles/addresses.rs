//! What a forwarded port meets on the host's side.

use std::net::{IpAddr, SocketAddr};

use rustix::{
    io::Errno,
    net::{self, AddressFamily, SocketFlags, SocketType, ipproto, sockopt},
};

use super::super::{Family, Protocol, Spec, Step, plan};

/// Addresses of the host and of the container that do not go together, and
/// ports of the host that a process there has; one sentence for each.
pub fn sentences(spec: &Spec) -> Vec<String> {
    let mut sentences = without_counterpart(spec);
    for step in plan(spec) {
        let Step::Forward {
            protocol, listen, ..
        } = step
        else {
            continue;
        };
        match try_to_bind(protocol, listen) {
            Err(Errno::ADDRINUSE) => sentences.push(format!(
                "a process on the host listens on {protocol} {listen}, too; it is not reached \
                 there while the port is forwarded"
            )),
            Err(Errno::ADDRNOTAVAIL) => sentences.push(format!(
                "no link of the host has the address {}, where {protocol} port {} is forwarded",
                listen.ip(),
                listen.port(),
            )),
            // What cannot be tried for another reason is no obstacle.
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

/// Binds a socket as a server would, and closes it at once.
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
