//! Parsers of values. The error of each is a description of a valid value.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use netns::firewall::{Forward, Protocol};
use netns::ipnet::{Ipv4Net, Ipv6Net};
use netns::{Bridge, ExtraVeth, HostInterface, InterfaceName, MacAddress, Veth, ZoneName};
use nix::sys::signal::Signal;
use runtime::sys::capabilities::CapabilitySet;

use super::error::Parsed;
use super::quantities::{SECOND, microseconds};

/// An absolute path.
pub fn path(text: &str) -> Parsed<PathBuf> {
    let path = PathBuf::from(text);
    if path.is_absolute() {
        Ok(path)
    } else {
        Err("an absolute path")
    }
}

/// A boolean of `NAME.conf`: `0` or `1`.
pub fn switch(text: &str) -> Parsed<bool> {
    match text {
        "0" => Ok(false),
        "1" => Ok(true),
        _ => Err("0 or 1"),
    }
}

/// A boolean, as systemd reads it (`man 7 systemd.syntax`).
pub fn boolean(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Ok(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Ok(false),
        _ => Err("yes or no"),
    }
}

/// A signal by name, with or without `SIG`, or by number; realtime signals are
/// `RTMIN+3` and `RTMAX-3` (`man 7 signal`).
pub fn signal(text: &str) -> Parsed<i32> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    // The distance from the first or last realtime signal.
    let distance = |text: &str, sign| match text.strip_prefix(sign) {
        Some(digits) => digits_only(digits).filter(|distance| *distance <= last - first),
        None => text.is_empty().then_some(0),
    };
    let number = if let Some(above) = name.strip_prefix("RTMIN") {
        distance(above, '+').map(|distance| first + distance)
    } else if let Some(below) = name.strip_prefix("RTMAX") {
        distance(below, '-').map(|distance| last - distance)
    } else if let Ok(signal) = format!("SIG{name}").parse::<Signal>() {
        Some(signal as i32)
    } else {
        digits_only(name).filter(|number| (1..=last).contains(number))
    };
    number.ok_or("the name or number of a signal, as TERM or 15")
}

/// A number without a sign.
fn digits_only(text: &str) -> Option<i32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Names of capabilities, separated by commas.
pub fn capabilities(text: &str) -> Parsed<CapabilitySet> {
    text.split(',')
        .map(CapabilitySet::named)
        .try_fold(CapabilitySet::NONE, |all, one| Some(all.with(one?)))
        .ok_or("capabilities separated by commas, as CAP_SYS_TIME")
}

/// A time span in the syntax of units (`man 7 systemd.time`): numbers without a unit
/// are seconds.
pub fn time_span(text: &str) -> Parsed<Duration> {
    // As good as infinity: 136 years.
    const LONGEST: u64 = u32::MAX as u64;
    let seconds = match text {
        "infinity" => Some(LONGEST),
        // Parts of a second count as one.
        _ => microseconds(text, SECOND).map(|span| span.div_ceil(SECOND)),
    };
    match seconds {
        // A limit of 0 is none.
        Some(0) => Ok(Duration::from_secs(LONGEST)),
        Some(seconds @ 1..=LONGEST) => Ok(Duration::from_secs(seconds)),
        _ => Err("a time span, as 90, 5min or infinity"),
    }
}

/// An address of one host, with or without a prefix length.
pub fn address4(text: &str) -> Parsed<Ipv4Net> {
    let alone = || text.parse::<Ipv4Addr>().map(Ipv4Net::from);
    let net: Result<Ipv4Net, _> = text.parse().or_else(|_| alone());
    net.ok()
        .filter(|net| is_of_one_host(net.addr().into()) && !net.addr().is_broadcast())
        .ok_or("an IPv4 address, as 10.233.1.2 or 10.233.1.2/24")
}

/// An address of one host, with or without a prefix length.
pub fn address6(text: &str) -> Parsed<Ipv6Net> {
    let alone = || text.parse::<Ipv6Addr>().map(Ipv6Net::from);
    let net: Result<Ipv6Net, _> = text.parse().or_else(|_| alone());
    net.ok()
        .filter(|net| is_of_one_host(net.addr().into()))
        .ok_or("an IPv6 address, as fc00::2 or fc00::2/64")
}

/// Keeps an address of a key without a family in its name. nixpkgs' scripts give such
/// an address to ip(8), which takes either. Of each family there is one.
pub fn keep_address(
    text: &str,
    four: &mut Option<Ipv4Net>,
    six: &mut Option<Ipv6Net>,
) -> Parsed<()> {
    if text.contains(':') {
        keep_address6(text, six)
    } else {
        *four = Some(address4(text)?);
        Ok(())
    }
}

/// Keeps an address of a key for IPv6.
pub fn keep_address6(text: &str, six: &mut Option<Ipv6Net>) -> Parsed<()> {
    let address = address6(text)?;
    match six.replace(address) {
        Some(other) if other != address => Err("the only IPv6 address of its end of the link"),
        _ => Ok(()),
    }
}

/// Not a loopback, unspecified or multicast address.
fn is_of_one_host(address: IpAddr) -> bool {
    !(address.is_loopback() || address.is_unspecified() || address.is_multicast())
}

/// A hardware address.
pub fn mac(text: &str) -> Parsed<MacAddress> {
    text.parse()
        .map_err(|_| "the hardware address of one interface, as 02:00:00:12:34:56")
}

/// A name of an interface.
pub fn interface(text: &str) -> Parsed<InterfaceName> {
    InterfaceName::new(text).map_err(|_| "an interface's name of at most 15 characters")
}

/// Interfaces of the host, separated by blanks.
pub fn interfaces(text: &str) -> Parsed<Vec<HostInterface>> {
    text.split_whitespace()
        .map(host_interface)
        .collect::<Parsed<_>>()
        .map_err(|_| "names of interfaces separated by blanks, as eth1 or eth1:lan0")
}

/// An interface of the host, and its name inside if that differs: `HOST[:CONTAINER]`.
pub fn host_interface(text: &str) -> Parsed<HostInterface> {
    let expected = "an interface's name, as eth1 or eth1:lan0";
    let (outside, inside) = match text.split_once(':') {
        Some((outside, inside)) => (outside, Some(inside)),
        None => (text, None),
    };
    Ok(HostInterface {
        interface: interface(outside).map_err(|_| expected)?,
        name: inside.map(interface).transpose().map_err(|_| expected)?,
    })
}

/// Ports, separated by commas, in the syntax of `--port=`:
/// `[PROTOCOL:]HOST_PORT[:CONTAINER_PORT]`.
pub fn ports(text: &str) -> Parsed<Vec<Forward>> {
    text.split(',')
        .map(|word| port(word.trim()))
        .collect::<Parsed<_>>()
        .map_err(|_| "ports separated by commas, as 8080:80 or udp:53")
}

/// One port of [`ports`].
pub fn port(text: &str) -> Parsed<Forward> {
    let expected = "a port, as 8080:80 or udp:53";
    let (protocol, ports) = match text.split_once(':') {
        Some(("tcp", ports)) => (Protocol::Tcp, ports),
        Some(("udp", ports)) => (Protocol::Udp, ports),
        Some(("sctp", ports)) => (Protocol::Sctp, ports),
        _ => (Protocol::Tcp, text),
    };
    let (host, container) = ports.split_once(':').unwrap_or((ports, ports));
    let number = |text: &str| match text.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(expected),
    };
    Ok(Forward {
        protocol,
        host_port: number(host)?,
        container_port: number(container)?,
    })
}

/// Addresses of the host, separated by blanks or commas.
pub fn host_addresses(text: &str) -> Parsed<Vec<IpAddr>> {
    text.split([' ', ','])
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.parse()
                .map_err(|_| "addresses of the host, as 192.0.2.1")
        })
        .collect()
}

/// Further links, separated by blanks: `NAME[,OPTION=VALUE…]` with the options of
/// `containers.<name>.extraVeths` in NixOS.
pub fn extra_veths(text: &str) -> Parsed<Vec<ExtraVeth>> {
    text.split_whitespace().map(extra_veth).collect()
}

fn extra_veth(text: &str) -> Parsed<ExtraVeth> {
    let expected = "NAME[,OPTION=VALUE…] separated by blanks, with the options hostName, \
                    hostBridge, hostAddress, hostAddress6, localAddress, localAddress6";
    let mut words = text.split(',');
    let name = words.next().unwrap_or_default();
    let mut extra = ExtraVeth {
        name: interface(name).map_err(|_| expected)?,
        host_name: None,
        veth: Veth::default(),
    };
    for word in words {
        let (option, value) = word.split_once('=').ok_or(expected)?;
        let veth = &mut extra.veth;
        match option {
            "hostName" => extra.host_name = Some(interface(value)?),
            "hostBridge" => veth.bridge = Some(Bridge::Existing(interface(value)?)),
            "hostAddress" => keep_address(value, &mut veth.host_address, &mut veth.host_address6)?,
            "hostAddress6" => keep_address6(value, &mut veth.host_address6)?,
            "localAddress" => {
                keep_address(value, &mut veth.local_address, &mut veth.local_address6)?;
            }
            "localAddress6" => keep_address6(value, &mut veth.local_address6)?,
            _ => return Err(expected),
        }
    }
    Ok(extra)
}

/// The value of `--network-veth-extra=`: `HOST[:CONTAINER]`. By default both ends have
/// the same name.
pub fn veth_ends(text: &str) -> Parsed<ExtraVeth> {
    let expected = "names of the host's and the container's end of a link, as lan-web:lan0";
    let (outside, inside) = text.split_once(':').unwrap_or((text, text));
    Ok(ExtraVeth {
        name: interface(inside).map_err(|_| expected)?,
        host_name: Some(interface(outside).map_err(|_| expected)?),
        veth: Veth::default(),
    })
}

/// The value of `--network-zone=`.
pub fn zone(text: &str) -> Parsed<ZoneName> {
    ZoneName::new(text).map_err(|_| "a zone's name of at most 12 characters")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_has_a_name_or_a_number() {
        for (text, number) in [
            ("TERM", libc::SIGTERM),
            ("sigterm", libc::SIGTERM),
            ("15", 15),
            ("SIGRTMIN", libc::SIGRTMIN()),
            ("RTMIN+3", libc::SIGRTMIN() + 3),
            ("SIGRTMAX-3", libc::SIGRTMAX() - 3),
            ("64", 64),
        ] {
            assert_eq!(signal(text), Ok(number), "{text}");
        }
        for bad in [
            "",
            "SIG",
            "0",
            "65",
            "-9",
            "+9",
            "FLY",
            "RTMIN+31",
            "RTMIN-1",
            "RTMIN+-1",
            "RTMAX-31",
            "RTMAX+1",
            "RTMIN+99999999999",
            "RTMAX-2147483648",
        ] {
            assert!(signal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ports_have_the_syntax_of_nspawn() {
        let forward = |protocol, host_port, container_port| Forward {
            protocol,
            host_port,
            container_port,
        };
        assert_eq!(
            ports("tcp:8080:80,udp:53, 22"),
            Ok(vec![
                forward(Protocol::Tcp, 8080, 80),
                forward(Protocol::Udp, 53, 53),
                forward(Protocol::Tcp, 22, 22),
            ])
        );
        for bad in [
            "", "0", "65536", "icmp:1", "1:2:3", "tcp:", "80:", "a", "80,,81",
        ] {
            assert!(ports(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn address_is_of_one_host() {
        assert!(address4("10.233.1.2").is_ok() && address4("10.233.1.2/24").is_ok());
        for bad in [
            "",
            "0.0.0.0",
            "127.0.0.1/8",
            "224.0.0.1",
            "255.255.255.255",
            "fc00::2",
        ] {
            assert!(address4(bad).is_err(), "{bad:?}");
        }
        assert!(address6("fc00::2").is_ok() && address6("fe80::1/64").is_ok());
        for bad in ["::", "::1", "ff02::1", "10.233.1.2"] {
            assert!(address6(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn time_span_has_the_syntax_of_units() {
        for (text, seconds) in [("90", 90), ("1min", 60), ("5min 20s", 320), (" 2 h ", 7200)] {
            assert_eq!(time_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for none in ["0", "0s", "0M"] {
            assert_eq!(time_span(none), time_span("infinity"));
        }
        assert_eq!(time_span("500ms"), time_span("1"));
        for bad in [
            "",
            "soon",
            "-1",
            "1 fortnight",
            "99999999999999999999",
            "9999999999",
        ] {
            assert!(time_span(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn interface_may_be_renamed() {
        let named = interfaces("eth1  eth2:lan0").expect("valid");
        assert_eq!(named.len(), 2);
        assert_eq!(named[0].name, None);
        assert_eq!(named[1].name, interface("lan0").ok());
        for bad in ["eth/1", "eth1:", "an-interface-name-too-long", "a:b:c"] {
            assert!(interfaces(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn extra_veths_have_the_options_of_nixos() {
        let extra = extra_veths("lan,hostName=lan-web,localAddress=10.0.0.2/24 wan,hostBridge=br0");
        let extra = extra.expect("valid");
        assert_eq!(extra[0].host_name, interface("lan-web").ok());
        assert_eq!(extra[0].veth.local_address, address4("10.0.0.2/24").ok());
        assert!(extra[1].veth.bridge.is_some());
        for bad in [
            "lan,hostName",
            "lan,speed=9",
            "lan,localAddress=x",
            ",hostName=a",
        ] {
            assert!(extra_veths(bad).is_err(), "{bad:?}");
        }
    }
}
