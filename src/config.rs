//! `NAME.conf`: what a container is configured to be.
//!
//! The file has the syntax of systemd's `EnvironmentFile=` (`man 5
//! systemd.exec`), because that is how nixpkgs' unit reads it. Comments, unknown
//! keys and the order of lines are the administrator's and stay.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netns::firewall::Forward;
use netns::ipnet::{IpNet, Ipv4Net, Ipv6Net};
use netns::{ExtraVeth, HostInterface, InterfaceName, MacAddress, ZoneName};

mod credentials;
mod devices;
mod environment_file;
mod integration;
mod mounts;
mod process;
pub mod properties;
pub mod quantities;
mod root;
mod users;
pub mod values;

pub use credentials::{Credential, CredentialSource};
pub use devices::{AllowedDevice, WhichDevice};
pub use integration::{LinkJournal, TimeZone};
pub use process::{Console, Execution, Resources, Security};
pub use properties::{Property, PropertyValue};

use environment_file::{Assignment, SyntaxError};
pub use mounts::{CustomContent, CustomMount, Source};
pub use root::{RootConfig, Volatile};
pub use users::{Ownership, PrivateUsers};

use crate::flake::FlakeRef;
use crate::nspawn_flags::{
    self, Flag, FlagError, IntegrationFlag, MountFlag, NetworkFlag, UserFlag,
};
use crate::resolv_conf;

/// A container's configuration, typed and validated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerConfig {
    /// `SYSTEM_PATH`: the system to run, where it is not the profile's.
    pub system_path: Option<PathBuf>,
    /// `CONFIG_FILE`: the file that the container was created from.
    pub config_file: Option<PathBuf>,
    /// `FLAKE`: the flake that its system is built from.
    pub flake: Option<FlakeRef>,
    /// `AUTO_START`: it starts with the host.
    pub auto_start: bool,
    /// `PRIVATE_NETWORK`: it has a network of its own.
    pub private_network: bool,
    /// `--network-veth`: it has a link to the host, whether or not anything
    /// else is said of it.
    pub veth: bool,
    /// `HOST_ADDRESS`
    pub host_address: Option<Ipv4Net>,
    /// `LOCAL_ADDRESS`
    pub local_address: Option<Ipv4Net>,
    /// `HOST_ADDRESS6`
    pub host_address6: Option<Ipv6Net>,
    /// `LOCAL_ADDRESS6`
    pub local_address6: Option<Ipv6Net>,
    /// `LOCAL_MAC_ADDRESS`: of the container's end of the link.
    pub local_mac_address: Option<MacAddress>,
    /// `HOST_BRIDGE`: what the host's end of the link is put into.
    pub host_bridge: Option<InterfaceName>,
    /// `--network-zone`: the same, of a bridge that is there for its containers.
    pub zone: Option<ZoneName>,
    /// `EXTRA_VETHS`: further links to the host.
    pub extra_veths: Vec<ExtraVeth>,
    /// `INTERFACES`: the host's, moved in while the container runs.
    pub interfaces: Vec<HostInterface>,
    /// `MACVLANS`: the host's interfaces that the container gets a link on.
    pub macvlans: Vec<HostInterface>,
    /// `--network-ipvlan`: likewise, with the hardware address that they have.
    pub ipvlans: Vec<HostInterface>,
    /// `NETWORK_NAMESPACE_PATH`: a network namespace that exists already.
    pub network_namespace: Option<PathBuf>,
    /// `HOST_PORT`: ports of the host that lead to the container.
    pub host_ports: Vec<Forward>,
    /// `BIND_HOST`: the host's addresses on which they do; none means all.
    pub bind_host: Vec<IpAddr>,
    /// `PRIVATE_USERS`: its users are not the host's.
    pub private_users: PrivateUsers,
    /// `--private-users-ownership`: how its files come to belong to them.
    pub ownership: Ownership,
    /// `--bind-user`: users of the host who have an account inside.
    pub bound_users: Vec<String>,
    /// `NAT`: the container reaches the world through the host.
    pub nat: bool,
    /// `COPY_RESOLV_CONF`: the host's `/etc/resolv.conf` is copied in at each
    /// start.
    pub copy_resolv_conf: bool,
    /// `--resolv-conf`, see [`ContainerConfig::resolv_conf_mode`].
    pub resolv_conf: Option<resolv_conf::Mode>,
    /// `EPHEMERAL`, `--volatile` and the like: what it has as `/`.
    pub root: RootConfig,
    /// `DESTROY_ON_STOP`: it is destroyed when it stops.
    pub destroy_on_stop: bool,
    /// `TMPFS`, `--bind` and the like: what is mounted inside.
    pub mounts: Vec<CustomMount>,
    /// `TIMEOUT_START_SEC`: how long a boot may take.
    pub timeout_start: Option<Duration>,
    /// How init is run.
    pub execution: Execution,
    /// What programs inside may do.
    pub security: Security,
    /// What programs inside may use.
    pub resources: Resources,
    /// `--link-journal`
    pub link_journal: LinkJournal,
    /// `--timezone`
    pub time_zone: TimeZone,
    /// `--set-credential`, `--load-credential`: secrets for init.
    pub credentials: Vec<Credential>,
    /// Keys that nobody knows, kept for whoever put them there.
    pub unknown_keys: Vec<String>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// A line is not an assignment.
    #[error("{path}:{line}: {problem}; a line is KEY=VALUE, empty, or a comment after #")]
    Syntax {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// A value does not fit its key.
    #[error("{path}:{line}: {key} is {value:?}, but must be {expected}")]
    Value {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// A flag does not belong there.
    #[error("{path}:{line}: EXTRA_NSPAWN_FLAGS: {error}")]
    Flag {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with which flag.
        error: FlagError,
    },
}

impl ConfigError {
    fn syntax(path: &Path, error: SyntaxError) -> Self {
        Self::Syntax {
            path: path.display().to_string(),
            line: error.line,
            problem: error.problem,
        }
    }
}

impl ContainerConfig {
    /// Reads the contents of a configuration file; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let assignments =
            environment_file::parse(text).map_err(|error| ConfigError::syntax(path, error))?;
        let path = path.display().to_string();
        let mut config = Self::default();
        let mut flags = Vec::new();
        for assignment in &assignments {
            if assignment.key == "EXTRA_NSPAWN_FLAGS" {
                flags = parse_flags(&path, assignment)?;
            } else {
                config.apply(&path, assignment)?;
            }
        }
        // nixpkgs' unit puts them after those that it makes of the other keys,
        // so that they have the last word.
        for flag in flags {
            config.add(flag);
        }
        Ok(config)
    }

    fn apply(&mut self, path: &str, assignment: &Assignment) -> Result<(), ConfigError> {
        let Assignment {
            line, key, value, ..
        } = assignment;
        // An empty value is how nixpkgs' unit says "not set".
        if value.is_empty() {
            return Ok(());
        }
        self.set(key, value).map_err(|expected| ConfigError::Value {
            path: path.to_owned(),
            line: *line,
            key: key.clone(),
            value: value.clone(),
            expected,
        })
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "SYSTEM_PATH" => self.system_path = Some(values::path(value)?),
            "CONFIG_FILE" => self.config_file = Some(values::path(value)?),
            "FLAKE" => self.flake = Some(value.parse()?),
            "AUTO_START" => self.auto_start = values::switch(value)?,
            "COPY_RESOLV_CONF" => self.copy_resolv_conf = values::switch(value)?,
            "TIMEOUT_START_SEC" => self.timeout_start = Some(values::time_span(value)?),
            "PRIVATE_NETWORK" => self.private_network = values::switch(value)?,
            "HOST_ADDRESS" => self.host_address = Some(values::address4(value)?),
            "LOCAL_ADDRESS" => self.local_address = Some(values::address4(value)?),
            "HOST_ADDRESS6" => self.host_address6 = Some(values::address6(value)?),
            "LOCAL_ADDRESS6" => self.local_address6 = Some(values::address6(value)?),
            "LOCAL_MAC_ADDRESS" => self.local_mac_address = Some(values::mac(value)?),
            "HOST_BRIDGE" => self.host_bridge = Some(values::interface(value)?),
            "EXTRA_VETHS" => self.extra_veths = values::extra_veths(value)?,
            "INTERFACES" => self.interfaces = values::interfaces(value)?,
            "MACVLANS" => self.macvlans = values::interfaces(value)?,
            "NETWORK_NAMESPACE_PATH" => self.network_namespace = Some(values::path(value)?),
            "HOST_PORT" => self.host_ports = values::ports(value)?,
            "BIND_HOST" => self.bind_host = values::host_addresses(value)?,
            "EPHEMERAL" => self.root.ephemeral = values::switch(value)?,
            "DESTROY_ON_STOP" => self.destroy_on_stop = values::switch(value)?,
            "TMPFS" => self.mounts.extend(mounts::tmpfs_list(value)?),
            "PRIVATE_USERS" => self.private_users = PrivateUsers::parse(value)?,
            "NAT" => self.nat = values::switch(value)?,
            "ADDITIONAL_CAPABILITIES" => {
                self.security.capabilities = values::capabilities(value)?;
            }
            "ALLOWED_DEVICES" => self.security.devices = devices::allowed_devices(value)?,
            _ => self.unknown_keys.push(key.to_owned()),
        }
        Ok(())
    }

    fn add(&mut self, flag: Flag) {
        match flag {
            Flag::Network(flag) => self.connect(flag),
            Flag::Mounts(flag) => self.mount(flag),
            Flag::Execution(flag) => self.execution.add(flag),
            Flag::Integration(flag) => self.integrate(flag),
            Flag::Credential(credential) => self.credentials.push(credential),
            Flag::Security(flag) => self.security.add(flag),
            Flag::Resource(flag) => self.resources.add(flag),
            Flag::Users(UserFlag::PrivateUsers(users)) => self.private_users = users,
            Flag::Users(UserFlag::Ownership(ownership)) => self.ownership = ownership,
            Flag::Users(UserFlag::Bind(name)) => self.bound_users.push(name),
        }
    }

    fn connect(&mut self, flag: NetworkFlag) {
        match flag {
            NetworkFlag::PrivateNetwork => self.private_network = true,
            NetworkFlag::Veth => self.veth = true,
            NetworkFlag::ExtraVeth(extra) => self.extra_veths.push(extra),
            NetworkFlag::Bridge(bridge) => self.host_bridge = Some(bridge),
            NetworkFlag::Zone(zone) => self.zone = Some(zone),
            NetworkFlag::Interface(interface) => self.interfaces.push(interface),
            NetworkFlag::Macvlan(parent) => self.macvlans.push(parent),
            NetworkFlag::Ipvlan(parent) => self.ipvlans.push(parent),
            NetworkFlag::NamespacePath(path) => self.network_namespace = Some(path),
            NetworkFlag::Port(forward) => self.host_ports.push(forward),
            NetworkFlag::ResolvConf(mode) => self.resolv_conf = Some(mode),
        }
    }

    fn integrate(&mut self, flag: IntegrationFlag) {
        match flag {
            IntegrationFlag::LinkJournal(link) => self.link_journal = link,
            IntegrationFlag::TimeZone(zone) => self.time_zone = zone,
        }
    }

    fn mount(&mut self, flag: MountFlag) {
        match flag {
            MountFlag::Custom(mount) => self.mounts.push(mount),
            MountFlag::ReadOnly => self.root.read_only = true,
            MountFlag::Volatile(volatile) => self.root.volatile = volatile,
            MountFlag::Ephemeral => self.root.snapshot = true,
        }
    }

    /// The file that says this.
    pub fn to_text(&self) -> String {
        let number = |set: bool| Some(u8::from(set).to_string());
        let switch = |set: bool| set.then(|| "1".to_owned());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
        let address4 = |address: Option<Ipv4Net>| address.map(|a| display_address(a.into()));
        let address6 = |address: Option<Ipv6Net>| address.map(|a| display_address(a.into()));
        let lines = [
            ("SYSTEM_PATH", path(&self.system_path)),
            ("CONFIG_FILE", path(&self.config_file)),
            ("FLAKE", self.flake.as_ref().map(ToString::to_string)),
            ("PRIVATE_NETWORK", number(self.private_network)),
            ("HOST_ADDRESS", address4(self.host_address)),
            ("LOCAL_ADDRESS", address4(self.local_address)),
            ("HOST_ADDRESS6", address6(self.host_address6)),
            ("LOCAL_ADDRESS6", address6(self.local_address6)),
            (
                "HOST_BRIDGE",
                self.host_bridge.as_ref().map(ToString::to_string),
            ),
            ("HOST_PORT", ports(&self.host_ports)),
            ("NAT", number(self.nat)),
            ("COPY_RESOLV_CONF", switch(self.copy_resolv_conf)),
            ("EPHEMERAL", switch(self.root.ephemeral)),
            ("DESTROY_ON_STOP", switch(self.destroy_on_stop)),
            (
                "TIMEOUT_START_SEC",
                self.timeout_start.map(|t| t.as_secs().to_string()),
            ),
            ("AUTO_START", number(self.auto_start)),
        ];
        lines
            .into_iter()
            .filter_map(|(key, value)| {
                Some(format!("{key}={}\n", environment_file::quote(&value?)))
            })
            .collect()
    }

    /// The contents of a configuration file, changed to say what the system is
    /// made from. All else stays as it is.
    pub fn with_source(
        path: &Path,
        text: &str,
        file: Option<&Path>,
        flake: Option<&FlakeRef>,
    ) -> Result<String, ConfigError> {
        let syntax = |error| ConfigError::syntax(path, error);
        let file = file.map(|file| file.display().to_string());
        let flake = flake.map(FlakeRef::to_string);
        let text = environment_file::set(text, "CONFIG_FILE", file.as_deref()).map_err(syntax)?;
        environment_file::set(&text, "FLAKE", flake.as_deref()).map_err(syntax)
    }

    /// How the container comes by its `/etc/resolv.conf`. nixpkgs' unit copies
    /// the host's file before it runs systemd-nspawn, which has the last word
    /// where it writes one.
    pub fn resolv_conf_mode(&self) -> resolv_conf::Mode {
        use resolv_conf::{Mode, Source};
        match self.resolv_conf {
            None | Some(Mode::Off | Mode::Auto) if self.copy_resolv_conf => {
                Mode::Replace(Source::Host)
            }
            mode => mode.unwrap_or(Mode::Auto),
        }
    }

    /// All addresses that the container or its host side has.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> {
        let four = [self.host_address, self.local_address];
        let six = [self.host_address6, self.local_address6];
        let four = four.into_iter().flatten().map(IpNet::from);
        four.chain(six.into_iter().flatten().map(IpNet::from))
    }
}

fn parse_flags(path: &str, assignment: &Assignment) -> Result<Vec<Flag>, ConfigError> {
    nspawn_flags::parse(&assignment.value).map_err(|error| ConfigError::Flag {
        path: path.to_owned(),
        line: assignment.line,
        error,
    })
}

fn ports(forwards: &[Forward]) -> Option<String> {
    let words = forwards.iter().map(|forward| {
        let Forward {
            protocol,
            host_port,
            container_port,
        } = forward;
        format!("{protocol}:{host_port}:{container_port}")
    });
    (!forwards.is_empty()).then(|| words.collect::<Vec<_>>().join(","))
}

/// An address with its prefix length, unless that is the address alone.
fn display_address(address: IpNet) -> String {
    if address.prefix_len() == address.max_prefix_len() {
        address.addr().to_string()
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ContainerConfig, ConfigError> {
        ContainerConfig::parse(Path::new("foo.conf"), text)
    }

    #[test]
    fn what_nixpkgs_tool_writes_is_understood() {
        let config = parse(
            "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\n\
             HOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\n",
        )
        .expect("valid");
        assert!(config.private_network && !config.auto_start);
        assert_eq!(config.local_address, values::address4("10.233.1.2").ok());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = ContainerConfig {
            system_path: Some("/nix/store/a b".into()),
            flake: "/my flake?dir=x#web".parse().ok(),
            private_network: true,
            host_address: values::address4("10.0.0.1").ok(),
            local_address: values::address4("10.0.0.2/24").ok(),
            local_address6: values::address6("fc00::2").ok(),
            host_bridge: values::interface("br0").ok(),
            host_ports: values::ports("8080:80,udp:53").expect("valid"),
            nat: true,
            timeout_start: Some(Duration::from_secs(90)),
            auto_start: true,
            copy_resolv_conf: true,
            root: RootConfig {
                ephemeral: true,
                ..RootConfig::default()
            },
            destroy_on_stop: true,
            ..ContainerConfig::default()
        };
        assert_eq!(parse(&config.to_text()), Ok(config));
    }

    #[test]
    fn errors_name_file_line_and_key() {
        let error = |text: &str| parse(text).expect_err("invalid").to_string();
        assert_eq!(
            error("# fine\nHOST_ADDRESS=10.0.0.300\n"),
            "foo.conf:2: HOST_ADDRESS is \"10.0.0.300\", but must be an IPv4 address, \
             as 10.233.1.2 or 10.233.1.2/24"
        );
        assert!(error("PRIVATE_NETWORK=yes\n").contains("PRIVATE_NETWORK is \"yes\""));
        assert!(error("LOCAL_ADDRESS6=10.0.0.1\n").contains("IPv6"));
        assert!(error("FLAKE=--x\n").contains("FLAKE is \"--x\""));
        assert!(error("HOST_PORT=tcp:x\n").contains("HOST_PORT is \"tcp:x\""));
    }

    #[test]
    fn flags_say_the_same_as_keys() {
        for (flags, keys) in [
            ("--private-network", "PRIVATE_NETWORK=1"),
            ("--network-bridge=br0", "HOST_BRIDGE=br0"),
            ("-p 8080:80 --port=udp:53", "HOST_PORT=8080:80,udp:53"),
            ("--network-interface=eth1:lan0", "INTERFACES=eth1:lan0"),
            (
                "--network-macvlan eth1 --network-macvlan eth2",
                "MACVLANS='eth1 eth2'",
            ),
            (
                "--network-veth-extra=lan-web:lan",
                "EXTRA_VETHS=lan,hostName=lan-web",
            ),
            (
                "--network-namespace-path=/run/netns/a",
                "NETWORK_NAMESPACE_PATH=/run/netns/a",
            ),
        ] {
            let with_flags = parse(&format!("EXTRA_NSPAWN_FLAGS='{flags}'\n"));
            assert_eq!(with_flags, parse(keys), "{flags}");
        }
    }

    #[test]
    fn flags_have_the_last_word_and_add_to_lists() {
        let config = parse(
            "EXTRA_NSPAWN_FLAGS=--network-bridge=br1 --port=81\nHOST_BRIDGE=br0\nHOST_PORT=80\n",
        )
        .expect("valid");
        assert_eq!(config.host_bridge, values::interface("br1").ok());
        assert_eq!(Ok(config.host_ports), values::ports("80,81"));
    }

    #[test]
    fn a_flag_for_resolv_conf_beats_the_key_where_it_writes() {
        use resolv_conf::{Mode, Source};
        let mode = |text: &str| parse(text).expect("valid").resolv_conf_mode();
        let flag = "EXTRA_NSPAWN_FLAGS=--resolv-conf";
        assert_eq!(mode(""), Mode::Auto);
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

    #[test]
    fn errors_in_flags_name_file_line_and_flag() {
        assert_eq!(
            parse("A=1\nEXTRA_NSPAWN_FLAGS='-n --bind-user='\n").map_err(|error| error.to_string()),
            Err(
                "foo.conf:2: EXTRA_NSPAWN_FLAGS: --bind-user is \"\", but must be the name of a \
                 user of the host"
                    .to_owned()
            )
        );
    }

    #[test]
    fn unknown_keys_are_no_error() {
        assert_eq!(
            parse("MINE=1\n").map(|config| config.unknown_keys),
            Ok(vec!["MINE".to_owned()])
        );
    }
}
