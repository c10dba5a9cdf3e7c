//! `NAME.conf`: the configuration of a container.
//!
//! The file has the syntax of systemd's `EnvironmentFile=` (`man 5
//! systemd.exec`), because nixpkgs' unit reads it as one. A change keeps comments,
//! unknown keys and the order of lines.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use netns::firewall::Forward;
use netns::ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netns::{ExtraVeth, HostInterface, InterfaceName, MacAddress, ZoneName};

mod credentials;
mod devices;
mod environment_file;
mod error;
mod execution;
pub mod flake;
mod integration;
mod mounts;
pub mod nspawn_flags;
pub mod properties;
pub mod quantities;
mod read;
pub mod resolv_conf;
mod resources;
mod root;
mod security;
pub mod settings;
mod untrusted;
mod users;
pub mod values;
mod write;

pub use credentials::{Credential, CredentialSource};
pub use devices::{AllowedDevice, WhichDevice};
pub use error::{ConfigError, FlagError};
pub use execution::{Console, Execution};
pub use integration::{LinkJournal, TimeZone};
pub use mounts::{CustomContent, CustomMount, Source};
pub use properties::{DEFAULT_TASKS_MAX, Property, PropertyValue};
pub use resources::Resources;
pub use root::{RootConfig, Volatile};
pub use security::Security;
pub use users::{Ownership, PrivateUsers};
pub use write::RecordedSource;

use flake::FlakeRef;

/// A container's configuration, typed and validated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerConfig {
    /// `SYSTEM_PATH`: the system to run, if not the profile's.
    pub system_path: Option<PathBuf>,
    /// `CONFIG_FILE`: the configuration file that its system is built from.
    pub config_file: Option<PathBuf>,
    /// `FLAKE`: the flake that its system is built from.
    pub flake: Option<FlakeRef>,
    /// `TRUSTED_CONFIGURATION`: the hash of the configuration in the container that the
    /// host's root gave, or vouched for.
    pub trusted_configuration: Option<String>,
    /// `AUTO_START`: it starts with the host.
    pub auto_start: bool,
    /// `PRIVATE_NETWORK`: it has its own network namespace.
    pub private_network: bool,
    /// `--network-veth`: it has a link to the host, even without addresses.
    pub veth: bool,
    /// `HOST_ADDRESS`: of the host's end of the link.
    pub host_address: Option<Ipv4Net>,
    /// `LOCAL_ADDRESS`: of the container's end.
    pub local_address: Option<Ipv4Net>,
    /// `HOST_ADDRESS6`: of the host's end of the link.
    pub host_address6: Option<Ipv6Net>,
    /// `LOCAL_ADDRESS6`: of the container's end.
    pub local_address6: Option<Ipv6Net>,
    /// `LOCAL_MAC_ADDRESS`: of the container's end of the link.
    pub local_mac_address: Option<MacAddress>,
    /// `HOST_BRIDGE`: the bridge of the host's end of the link.
    pub host_bridge: Option<InterfaceName>,
    /// `--network-zone`: the same, with a bridge that exists as long as its containers
    /// run.
    pub zone: Option<ZoneName>,
    /// `EXTRA_VETHS`: further links to the host.
    pub extra_veths: Vec<ExtraVeth>,
    /// `INTERFACES`: interfaces of the host, moved in while the container runs.
    pub interfaces: Vec<HostInterface>,
    /// `MACVLANS`: interfaces of the host that get a macvlan link for the container.
    pub macvlans: Vec<HostInterface>,
    /// `--network-ipvlan`: interfaces of the host that get an ipvlan link.
    pub ipvlans: Vec<HostInterface>,
    /// `NETWORK_NAMESPACE_PATH`: an existing network namespace to use.
    pub network_namespace: Option<PathBuf>,
    /// `HOST_PORT`: ports of the host that are forwarded to the container.
    pub host_ports: Vec<Forward>,
    /// `BIND_HOST`: addresses of the host whose ports are forwarded; all if empty.
    pub bind_host: Vec<IpAddr>,
    /// `PRIVATE_USERS`: the ids that its users have on the host.
    pub private_users: PrivateUsers,
    /// `--private-users-ownership`: how its files get their owners.
    pub ownership: Ownership,
    /// `--bind-user`: users of the host that have an account inside.
    pub bound_users: Vec<String>,
    /// `SPOOF_CHECK`: the host drops packets that pretend to be another's; on unless it
    /// is switched off.
    pub spoof_check: Option<bool>,
    /// `NAT`: the host forwards and masquerades the container's packets.
    pub nat: bool,
    /// `COPY_RESOLV_CONF`: the host's `/etc/resolv.conf` is copied in at each
    /// start; on a private network also if it is not said.
    pub copy_resolv_conf: Option<bool>,
    /// `--resolv-conf`, see [`ContainerConfig::resolv_conf_mode`].
    pub resolv_conf: Option<resolv_conf::Mode>,
    /// `NIX_DAEMON=0`: it cannot reach the host's Nix daemon.
    pub no_nix_daemon: bool,
    /// `EPHEMERAL`, `--volatile` and the like: its root file system.
    pub root: RootConfig,
    /// `DESTROY_ON_STOP`: it is destroyed when it stops.
    pub destroy_on_stop: bool,
    /// `TMPFS`, `--bind` and the like: further mounts.
    pub mounts: Vec<CustomMount>,
    /// `TIMEOUT_START_SEC`: how long a boot may take.
    pub timeout_start: Option<Duration>,
    /// How init is run.
    pub execution: Execution,
    /// `UNTRUSTED`: it sees no more of the host than its system needs.
    pub untrusted: bool,
    /// Privileges of programs inside.
    pub security: Security,
    /// Limits on the resources of programs inside.
    pub resources: Resources,
    /// `--link-journal`: where its journal is.
    pub link_journal: LinkJournal,
    /// `--timezone`: how it gets the host's time zone.
    pub time_zone: TimeZone,
    /// `--set-credential`, `--load-credential`: secrets for init.
    pub credentials: Vec<Credential>,
    /// Keys that have no meaning here. They are kept in the file.
    pub unknown_keys: Vec<String>,
}

impl ContainerConfig {
    /// How the container gets its `/etc/resolv.conf`, on a network that `is_private`.
    /// nixpkgs' unit copies the host's file before it runs systemd-nspawn, so a mode that
    /// writes the file wins.
    pub fn resolv_conf_mode(&self, is_private: bool) -> resolv_conf::Mode {
        use resolv_conf::{Mode, Source};
        match (self.resolv_conf, self.copy_resolv_conf) {
            (None | Some(Mode::Off | Mode::Auto), Some(true)) => Mode::Replace(Source::Host),
            (None, None) if is_private => Mode::Replace(Source::Host),
            (mode, _) => mode.unwrap_or(Mode::Auto),
        }
    }

    /// Whether a start makes the same container of both configurations: they differ at
    /// most in what other commands read.
    pub fn starts_like(&self, other: &Self) -> bool {
        let for_start = |config: &Self| Self {
            auto_start: false,
            config_file: None,
            flake: None,
            trusted_configuration: None,
            unknown_keys: Vec::new(),
            ..config.clone()
        };
        for_start(self) == for_start(other)
    }

    /// The addresses of the container's end of the link, that of IPv4 first.
    pub fn local_addresses(&self) -> impl Iterator<Item = IpAddr> {
        let four = self.local_address.map(|address| address.addr().into());
        let six = self.local_address6.map(|address| address.addr().into());
        four.into_iter().chain(six)
    }

    /// The addresses of both ends of the link.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> {
        let four = [self.host_address, self.local_address];
        let six = [self.host_address6, self.local_address6];
        let four = four.into_iter().flatten().map(IpNet::from);
        four.chain(six.into_iter().flatten().map(IpNet::from))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_start_does_not_depend_on_what_other_commands_read() {
        let parse = |text: &str| ContainerConfig::parse(Path::new("foo.conf"), text);
        let starts_like = |one: &str, other: &str| {
            parse(one)
                .expect("valid")
                .starts_like(&parse(other).expect("valid"))
        };
        assert!(starts_like(
            "NAT=1",
            "AUTO_START=1\nNAT=1\nFLAKE=/f\nMINE=1"
        ));
        assert!(!starts_like("NAT=1", "NAT=0"));
    }

    #[test]
    fn resolv_conf_flag_wins_over_the_key_if_it_writes() {
        use resolv_conf::{Mode, Source};
        let parse = |text: &str| ContainerConfig::parse(Path::new("foo.conf"), text);
        let mode_on = |text: &str, private| parse(text).expect("valid").resolv_conf_mode(private);
        let mode = |text: &str| mode_on(text, true);
        let flag = "EXTRA_NSPAWN_FLAGS=--resolv-conf";
        assert_eq!(mode_on("", false), Mode::Auto);
        assert_eq!(mode(""), Mode::Replace(Source::Host));
        assert_eq!(mode("COPY_RESOLV_CONF=0"), Mode::Auto);
        assert_eq!(mode("COPY_RESOLV_CONF=1"), Mode::Replace(Source::Host));
        assert_eq!(mode(&format!("{flag}=off")), Mode::Off);
        for (value, expected) in [
            ("off", Mode::Replace(Source::Host)),
            ("copy-uplink", Mode::Copy(Source::Uplink)),
        ] {
            let text = format!("COPY_RESOLV_CONF=1\n{flag}={value}\n");
            assert_eq!(mode(&text), expected, "{value}");
        }
    }
}
