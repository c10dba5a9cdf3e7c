//! `NAME.conf`: what a container is configured to be.
//!
//! The file has the syntax of systemd's `EnvironmentFile=` (`man 5
//! systemd.exec`), because that is how nixpkgs' unit reads it. Comments, unknown
//! keys and the order of lines are the administrator's and stay.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use netns::ipnet::{IpNet, Ipv4Net, Ipv6Net};

mod environment_file;

use environment_file::Assignment;

/// A container's configuration, typed and validated.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerConfig {
    /// `SYSTEM_PATH`: the system to run, where it is not the profile's.
    pub system_path: Option<PathBuf>,
    /// `CONFIG_FILE`: the file that the container was created from.
    pub config_file: Option<PathBuf>,
    /// `AUTO_START`: it starts with the host.
    pub auto_start: bool,
    /// `PRIVATE_NETWORK`: it has a network of its own.
    pub private_network: bool,
    /// `HOST_ADDRESS`
    pub host_address: Option<Ipv4Net>,
    /// `LOCAL_ADDRESS`
    pub local_address: Option<Ipv4Net>,
    /// `HOST_ADDRESS6`
    pub host_address6: Option<Ipv6Net>,
    /// `LOCAL_ADDRESS6`
    pub local_address6: Option<Ipv6Net>,
    /// `COPY_RESOLV_CONF`: the host's `/etc/resolv.conf` is copied in at each
    /// start.
    pub copy_resolv_conf: bool,
    /// `TIMEOUT_START_SEC`: how long a boot may take.
    pub timeout_start: Option<Duration>,
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
    /// A key asks for what this version cannot do. Starting without it would
    /// be another container than the one that is configured.
    #[error("{path}:{line}: {key} is not supported yet; remove the line to do without it")]
    Unsupported {
        /// The file.
        path: String,
        /// Its line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
}

/// Keys of nixpkgs' tool, and ours, that still await their issues.
const UNSUPPORTED: [&str; 16] = [
    "FLAKE",
    "HOST_BRIDGE",
    "HOST_PORT",
    "LOCAL_MAC_ADDRESS",
    "NETWORK_NAMESPACE_PATH",
    "PRIVATE_USERS",
    "INTERFACES",
    "MACVLANS",
    "EXTRA_NSPAWN_FLAGS",
    "EPHEMERAL",
    "ADDITIONAL_CAPABILITIES",
    "TMPFS",
    "ALLOWED_DEVICES",
    "EXTRA_VETHS",
    "NAT",
    "BIND_HOST",
];

impl ContainerConfig {
    /// Reads the contents of a configuration file; `path` is for messages.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let path = path.display().to_string();
        let assignments = environment_file::parse(text).map_err(|error| ConfigError::Syntax {
            path: path.clone(),
            line: error.line,
            problem: error.problem,
        })?;
        let mut config = Self::default();
        for assignment in &assignments {
            config.apply(&path, assignment)?;
        }
        Ok(config)
    }

    fn apply(&mut self, path: &str, assignment: &Assignment) -> Result<(), ConfigError> {
        let Assignment { line, key, value } = assignment;
        // An empty value is how nixpkgs' unit says "not set".
        let given = (!value.is_empty()).then_some(value.as_str());
        let wrong = |expected| ConfigError::Value {
            path: path.to_owned(),
            line: *line,
            key: key.clone(),
            value: value.clone(),
            expected,
        };
        match key.as_str() {
            "SYSTEM_PATH" => self.system_path = absolute(given).map_err(wrong)?,
            "CONFIG_FILE" => self.config_file = absolute(given).map_err(wrong)?,
            "AUTO_START" => self.auto_start = switch(given).map_err(wrong)?,
            "PRIVATE_NETWORK" => self.private_network = switch(given).map_err(wrong)?,
            "COPY_RESOLV_CONF" => self.copy_resolv_conf = switch(given).map_err(wrong)?,
            "HOST_ADDRESS" => self.host_address = address4(given).map_err(wrong)?,
            "LOCAL_ADDRESS" => self.local_address = address4(given).map_err(wrong)?,
            "HOST_ADDRESS6" => self.host_address6 = address6(given).map_err(wrong)?,
            "LOCAL_ADDRESS6" => self.local_address6 = address6(given).map_err(wrong)?,
            "TIMEOUT_START_SEC" => self.timeout_start = seconds(given).map_err(wrong)?,
            _ if UNSUPPORTED.contains(&key.as_str()) => {
                if given.is_some() {
                    return Err(ConfigError::Unsupported {
                        path: path.to_owned(),
                        line: *line,
                        key: key.clone(),
                    });
                }
            }
            _ => self.unknown_keys.push(key.clone()),
        }
        Ok(())
    }

    /// The file that says this.
    pub fn to_text(&self) -> String {
        let number = |set: bool| Some(u8::from(set).to_string());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|p| p.display().to_string());
        let address4 = |address: Option<Ipv4Net>| address.map(|a| display_address(a.into()));
        let address6 = |address: Option<Ipv6Net>| address.map(|a| display_address(a.into()));
        let lines = [
            ("SYSTEM_PATH", path(&self.system_path)),
            ("CONFIG_FILE", path(&self.config_file)),
            ("PRIVATE_NETWORK", number(self.private_network)),
            ("HOST_ADDRESS", address4(self.host_address)),
            ("LOCAL_ADDRESS", address4(self.local_address)),
            ("HOST_ADDRESS6", address6(self.host_address6)),
            ("LOCAL_ADDRESS6", address6(self.local_address6)),
            (
                "COPY_RESOLV_CONF",
                self.copy_resolv_conf.then(|| "1".to_owned()),
            ),
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

    /// All addresses that the container or its host side has.
    pub fn addresses(&self) -> impl Iterator<Item = IpNet> {
        let four = [self.host_address, self.local_address];
        let six = [self.host_address6, self.local_address6];
        let four = four.into_iter().flatten().map(IpNet::from);
        four.chain(six.into_iter().flatten().map(IpNet::from))
    }
}

/// An address with its prefix length, unless that is the address alone.
fn display_address(address: IpNet) -> String {
    if address.prefix_len() == address.max_prefix_len() {
        address.addr().to_string()
    } else {
        address.to_string()
    }
}

/// An IPv4 address; without a prefix length it stands alone.
pub fn parse_address4(text: &str) -> Option<Ipv4Net> {
    let alone = || text.parse::<Ipv4Addr>().ok().map(Ipv4Net::from);
    text.parse().ok().or_else(alone)
}

/// An IPv6 address; without a prefix length it stands alone.
pub fn parse_address6(text: &str) -> Option<Ipv6Net> {
    let alone = || text.parse::<Ipv6Addr>().ok().map(Ipv6Net::from);
    text.parse().ok().or_else(alone)
}

fn absolute(value: Option<&str>) -> Result<Option<PathBuf>, &'static str> {
    match value.map(PathBuf::from) {
        Some(path) if !path.is_absolute() => Err("an absolute path"),
        path => Ok(path),
    }
}

fn switch(value: Option<&str>) -> Result<bool, &'static str> {
    match value {
        None | Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err("0 or 1"),
    }
}

fn address4(value: Option<&str>) -> Result<Option<Ipv4Net>, &'static str> {
    let expected = "an IPv4 address, as 10.233.1.2 or 10.233.1.2/24";
    value
        .map(|text| parse_address4(text).ok_or(expected))
        .transpose()
}

fn address6(value: Option<&str>) -> Result<Option<Ipv6Net>, &'static str> {
    let expected = "an IPv6 address, as fc00::2 or fc00::2/64";
    value
        .map(|text| parse_address6(text).ok_or(expected))
        .transpose()
}

fn seconds(value: Option<&str>) -> Result<Option<Duration>, &'static str> {
    match value {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(|seconds| Some(Duration::from_secs(seconds)))
            .map_err(|_| "a whole number of seconds"),
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
        assert_eq!(config.local_address, parse_address4("10.233.1.2"));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let config = ContainerConfig {
            system_path: Some("/nix/store/a b".into()),
            private_network: true,
            host_address: parse_address4("10.0.0.1"),
            local_address: parse_address4("10.0.0.2/24"),
            local_address6: parse_address6("fc00::2"),
            timeout_start: Some(Duration::from_secs(90)),
            auto_start: true,
            copy_resolv_conf: true,
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
        assert!(error("MACVLANS=eth1\n").contains("MACVLANS is not supported yet"));
    }

    #[test]
    fn unknown_keys_are_no_error() {
        assert_eq!(
            parse("MINE=1\n").map(|config| config.unknown_keys),
            Ok(vec!["MINE".to_owned()])
        );
    }
}
