//! The container's `/etc/resolv.conf` at its start: `COPY_RESOLV_CONF` and
//! systemd-nspawn's `--resolv-conf=`.
//!
//! A resolver on the host's loopback, such as systemd-resolved's on 127.0.0.53,
//! cannot be reached from a private network. There it is replaced by the servers
//! that it forwards to.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use runtime::{Network, ResolvConf};

use crate::config::resolv_conf::{Mode, Source};

/// What a start does with the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// The change of the container's file.
    pub change: ResolvConf,
    /// A warning for the user.
    pub warning: Option<String>,
}

impl From<ResolvConf> for Decision {
    fn from(change: ResolvConf) -> Self {
        Self {
            change,
            warning: None,
        }
    }
}

/// Files in which local resolvers list the servers that they forward to:
/// systemd-resolved.service(8), and `rc-manager` in NetworkManager.conf(5).
const UPSTREAMS: [&str; 2] = [
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
];

/// Decides for a container on `network`. `replaceable` means that its file is
/// regular or missing; `read` reads a file of the host.
pub fn decide(
    mode: Mode,
    network: &Network,
    replaceable: bool,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Decision> {
    let source = match mode {
        Mode::Off => return Ok(Decision::default()),
        Mode::Delete => return Ok(ResolvConf::Remove.into()),
        Mode::Auto if *network == Network::Private => return Ok(Decision::default()),
        Mode::Auto | Mode::Copy(_) if !replaceable => return Ok(Decision::default()),
        Mode::Auto => Source::Host,
        Mode::Copy(source) | Mode::Replace(source) => source,
    };
    let path = source.path();
    let text = match read(Path::new(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(without(path, mode));
        }
        answer => answer.with_context(|| format!("cannot read the host's {path}"))?,
    };
    if *network == Network::Host {
        return Ok(ResolvConf::Write(text).into());
    }
    let upstreams = || {
        let mut texts = UPSTREAMS
            .iter()
            .filter_map(|path| read(Path::new(path)).ok());
        texts.find_map(|text| without_loopback(&text))
    };
    Ok(match without_loopback(&text).or_else(upstreams) {
        Some(reachable) => ResolvConf::Write(reachable).into(),
        None => Decision {
            change: ResolvConf::Write(text),
            warning: Some(format!(
                "the host's {path} names no server that the container can reach from its private \
                 network, and neither does {}; set networking.nameservers in the container's \
                 configuration",
                UPSTREAMS.join(" or ")
            )),
        },
    })
}

/// The decision if the host's file is missing. The container starts all the same,
/// as with systemd-nspawn, with a warning if the file was asked for.
fn without(path: &str, mode: Mode) -> Decision {
    let warning = (mode != Mode::Auto).then(|| {
        format!("the host has no {path}, so the container's /etc/resolv.conf stays as it is")
    });
    Decision {
        change: ResolvConf::Leave,
        warning,
    }
}

/// The text without servers that only the host can reach; `None` if no server is
/// left.
fn without_loopback(text: &str) -> Option<String> {
    let lines = text.split_inclusive('\n');
    let kept = lines.filter(|line| !server(line).is_some_and(only_on_this_host));
    let kept: String = kept.collect();
    kept.lines()
        .any(|line| server(line).is_some())
        .then_some(kept)
}

/// The server in a line, `man 5 resolv.conf`.
fn server(line: &str) -> Option<IpAddr> {
    let value = line.strip_prefix("nameserver")?;
    if !value.starts_with([' ', '\t']) {
        return None;
    }
    let word = value.split_whitespace().next()?;
    let (address, _link) = word.split_once('%').unwrap_or((word, ""));
    address.parse().ok()
}

/// Whether only the host can reach an address. The unspecified address stands for
/// that of the loopback (`man 7 ip`), and a link-local one holds on the host's
/// links only.
fn only_on_this_host(address: IpAddr) -> bool {
    let on_link = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    on_link || address.is_loopback() || address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UPLINK: &str = "/run/systemd/resolve/resolv.conf";
    const STUB: &str = "nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch lan\n";

    /// The decision on a host with these files.
    fn on_host(mode: Mode, network: &Network, files: &[(&str, &str)]) -> Result<Decision> {
        decide(mode, network, true, |path| {
            let file = files.iter().find(|(name, _)| Path::new(name) == path);
            file.map(|(_, text)| (*text).to_owned())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    fn written(mode: Mode, network: &Network, files: &[(&str, &str)]) -> Option<String> {
        let decision = on_host(mode, network, files).expect("decided");
        assert_eq!(decision.warning, None);
        match decision.change {
            ResolvConf::Leave => None,
            ResolvConf::Write(contents) => Some(contents),
            ResolvConf::Remove => panic!("{mode:?} removes the file"),
        }
    }

    #[test]
    fn modes_are_those_of_nspawn() {
        for (text, mode) in [
            ("off", Mode::Off),
            ("auto", Mode::Auto),
            ("copy-host", Mode::Copy(Source::Host)),
            ("copy-static", Mode::Copy(Source::Static)),
            ("replace-uplink", Mode::Replace(Source::Uplink)),
            ("bind-stub", Mode::Replace(Source::Stub)),
            ("delete", Mode::Delete),
        ] {
            assert_eq!(Mode::parse(text), Ok(mode), "{text}");
        }
        for bad in [
            "",
            "delete-host",
            "copy",
            "copy-",
            "host",
            "move-host",
            "copy-host-",
        ] {
            assert!(Mode::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn auto_leaves_private_networks_to_the_container() {
        let files = [("/etc/resolv.conf", STUB)];
        assert_eq!(written(Mode::Auto, &Network::Private, &files), None);
        assert_eq!(written(Mode::Off, &Network::Host, &files), None);
        let copied = written(Mode::Auto, &Network::Host, &files);
        assert_eq!(copied.as_deref(), Some(STUB));
        assert_eq!(written(Mode::Auto, &Network::Host, &[]), None);
    }

    #[test]
    fn delete_removes_the_file_on_every_network() {
        for network in [Network::Private, Network::Host] {
            let decision = on_host(Mode::Delete, &network, &[]).expect("decided");
            assert_eq!(decision, ResolvConf::Remove.into());
        }
    }

    #[test]
    fn copy_keeps_a_link_and_replace_does_not() {
        let read = |_: &Path| Ok(STUB.to_owned());
        for (mode, writes) in [
            (Mode::Auto, false),
            (Mode::Copy(Source::Host), false),
            (Mode::Replace(Source::Host), true),
        ] {
            let decision = decide(mode, &Network::Host, false, read).expect("decided");
            let changes = decision.change != ResolvConf::Leave;
            assert_eq!(changes, writes, "{mode:?}");
        }
    }

    #[test]
    fn a_stub_is_replaced_by_its_upstreams() {
        let uplink = "nameserver 192.0.2.1\nsearch lan\n";
        let files = [("/etc/resolv.conf", STUB), (UPLINK, uplink)];
        let mode = Mode::Replace(Source::Host);
        let namespace = Network::Namespace("/run/netns/a".into());
        for network in [Network::Private, namespace] {
            assert_eq!(written(mode, &network, &files).as_deref(), Some(uplink));
        }
        let on_hosts_own = written(mode, &Network::Host, &files);
        assert_eq!(on_hosts_own.as_deref(), Some(STUB));
    }

    #[test]
    fn servers_beside_a_stub_stay() {
        let mixed = "search lan\nnameserver 127.0.0.1\nnameserver\t::1\nnameserver 192.0.2.1 # a\n";
        let files = [
            ("/etc/resolv.conf", mixed),
            (UPLINK, "nameserver 192.0.2.9\n"),
        ];
        assert_eq!(
            written(Mode::Copy(Source::Host), &Network::Private, &files).as_deref(),
            Some("search lan\nnameserver 192.0.2.1 # a\n")
        );
    }

    #[test]
    fn a_file_without_a_stub_is_copied_unchanged() {
        let text = "# mine\nnameserver 192.0.2.1\nnameserver 2001:db8::1\noptions rotate";
        let files = [("/etc/resolv.conf", text)];
        let copied = written(Mode::Copy(Source::Host), &Network::Private, &files);
        assert_eq!(copied.as_deref(), Some(text));
    }

    #[test]
    fn without_a_reachable_server_there_is_a_warning() {
        let files = [
            ("/etc/resolv.conf", STUB),
            (UPLINK, "nameserver fe80::1%eth0\nnameserver 0.0.0.0\n"),
        ];
        let mode = Mode::Copy(Source::Host);
        let decision = on_host(mode, &Network::Private, &files).expect("decided");
        assert_eq!(decision.change, ResolvConf::Write(STUB.to_owned()));
        let warning = decision.warning.expect("a warning");
        assert!(
            warning.contains("/etc/resolv.conf names no server"),
            "{warning}"
        );
    }

    #[test]
    fn a_missing_file_that_was_asked_for_is_warned_of() {
        for mode in [Mode::Copy(Source::Stub), Mode::Replace(Source::Stub)] {
            let decision = on_host(mode, &Network::Host, &[]).expect("decided");
            assert_eq!(decision.change, ResolvConf::Leave);
            let warning = decision.warning.expect("a warning");
            let missing = "the host has no /run/systemd/resolve/stub-resolv.conf";
            assert!(warning.starts_with(missing), "{warning}");
        }
    }

    proptest! {
        #[test]
        fn reachable_servers_are_all_that_is_left(
            text in "((nameserver (127.0.0.1|::1|192.0.2.1|0.0.0.0)|search a|.{0,9})\n){0,6}",
        ) {
            if let Some(left) = without_loopback(&text) {
                let mut servers = left.lines().filter_map(server).peekable();
                prop_assert!(servers.peek().is_some());
                prop_assert!(servers.all(|address| !only_on_this_host(address)));
            }
        }
    }
}
