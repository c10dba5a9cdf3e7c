//! Writing a configuration file.

use std::path::{Path, PathBuf};

use netns::firewall::Forward;
use netns::ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::flake::FlakeRef;
use super::{ConfigError, ContainerConfig, environment_file};

/// The key of the hash of the configuration that is trusted.
const TRUSTED: &str = "TRUSTED_CONFIGURATION";

/// The source of a container's system, as its configuration file remembers it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordedSource {
    /// The configuration file on the host.
    pub file: Option<PathBuf>,
    /// The flake.
    pub flake: Option<FlakeRef>,
}

impl ContainerConfig {
    /// The contents of the configuration file. Settings that only flags have are left out.
    pub fn to_text(&self) -> String {
        let number = |set: bool| Some(u8::from(set).to_string());
        let switch = |set: bool| set.then(|| "1".to_owned());
        let empty = || Some(String::new());
        let path = |path: &Option<PathBuf>| text(path.as_ref().map(|path| path.display()));
        let address4 = |address: Option<Ipv4Net>| address.map(|a| display_address(a.into()));
        let address6 = |address: Option<Ipv6Net>| address.map(|a| display_address(a.into()));
        let lines = [
            ("SYSTEM_PATH", path(&self.system_path)),
            ("CONFIG_FILE", path(&self.config_file)),
            ("FLAKE", text(self.flake.as_ref())),
            (TRUSTED, self.trusted_configuration.clone()),
            ("PRIVATE_NETWORK", number(self.private_network)),
            ("HOST_ADDRESS", address4(self.host_address)),
            ("LOCAL_ADDRESS", address4(self.local_address)),
            ("HOST_ADDRESS6", address6(self.host_address6)),
            ("LOCAL_ADDRESS6", address6(self.local_address6)),
            // Scripts change these two lines, which nixpkgs' tool always writes.
            (
                "HOST_BRIDGE",
                text(self.host_bridge.as_ref()).or_else(empty),
            ),
            ("HOST_PORT", Some(ports(&self.host_ports))),
            ("NAT", number(self.nat)),
            ("UNTRUSTED", switch(self.untrusted)),
            ("COPY_RESOLV_CONF", self.copy_resolv_conf.and_then(number)),
            ("EPHEMERAL", switch(self.root.ephemeral)),
            ("DESTROY_ON_STOP", switch(self.destroy_on_stop)),
            (
                "TIMEOUT_START_SEC",
                text(self.timeout_start.map(|t| t.as_secs())),
            ),
            ("AUTO_START", number(self.auto_start)),
        ];
        let resources = &self.resources;
        let properties = resources.properties.iter();
        let properties =
            properties.filter_map(|property| Some((property.key?, Some(property.text.clone()))));
        let others = [
            ("LIMIT_NOFILE", resources.open_files_max()),
            ("CONSOLE_LOG_MAX", text(resources.console_log_max)),
            ("JOURNAL_MAX_USE", text(resources.journal_max_use)),
        ];
        lines
            .into_iter()
            .chain(properties)
            .chain(others)
            .filter_map(|(key, value)| {
                Some(format!("{key}={}\n", environment_file::quote(&value?)))
            })
            .collect()
    }

    /// The contents of a configuration file, with another source of the system, if
    /// there is one, and this hash of the configuration that is trusted. All other
    /// lines stay as they are.
    ///
    /// # Errors
    ///
    /// A line that is not an assignment; `path` is for its message.
    pub fn with_source(
        path: &Path,
        text: &str,
        source: Option<&RecordedSource>,
        trusted: Option<&str>,
    ) -> Result<String, ConfigError> {
        let syntax = |error| ConfigError::syntax(path, error);
        let set = |text: &str, key: &str, value: Option<&str>| {
            environment_file::set(text, key, value).map_err(syntax)
        };
        let text = set(text, TRUSTED, trusted)?;
        let Some(RecordedSource { file, flake }) = source else {
            return Ok(text);
        };
        let file = file.as_ref().map(|file| file.display().to_string());
        let flake = flake.as_ref().map(FlakeRef::to_string);
        let text = set(&text, "CONFIG_FILE", file.as_deref())?;
        set(&text, "FLAKE", flake.as_deref())
    }
}

fn text(value: Option<impl ToString>) -> Option<String> {
    value.map(|value| value.to_string())
}

fn ports(forwards: &[Forward]) -> String {
    let words = forwards.iter().map(|forward| {
        let Forward {
            protocol,
            host_port,
            container_port,
        } = forward;
        format!("{protocol}:{host_port}:{container_port}")
    });
    words.collect::<Vec<_>>().join(",")
}

/// An address, with its prefix length unless that covers the address only.
fn display_address(address: IpNet) -> String {
    if address.prefix_len() == address.max_prefix_len() {
        address.addr().to_string()
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::properties::property_of_key;
    use crate::config::{Resources, RootConfig, quantities, values};

    #[test]
    fn written_file_is_read_back() {
        let config = ContainerConfig {
            system_path: Some("/nix/store/a b".into()),
            flake: "/my flake?dir=x#web".parse().ok(),
            trusted_configuration: Some("sha256:0a".to_owned()),
            private_network: true,
            host_address: values::address4("10.0.0.1").ok(),
            local_address: values::address4("10.0.0.2/24").ok(),
            local_address6: values::address6("fc00::2").ok(),
            host_bridge: values::interface("br0").ok(),
            host_ports: values::ports("8080:80,udp:53").expect("valid"),
            nat: true,
            timeout_start: Some(Duration::from_secs(90)),
            auto_start: true,
            copy_resolv_conf: Some(true),
            root: RootConfig {
                ephemeral: true,
                ..RootConfig::default()
            },
            destroy_on_stop: true,
            resources: Resources {
                properties: [
                    ("MEMORY_MAX", "MemoryMax", "2G"),
                    ("CPU_QUOTA", "CPUQuota", "150%"),
                ]
                .map(|(key, name, text)| property_of_key(key, name, text).expect("valid"))
                .into(),
                limits: vec![quantities::limit("NOFILE=1024:4096").expect("valid")],
                console_log_max: Some(1 << 21),
                journal_max_use: Some(1 << 22),
                ..Resources::default()
            },
            ..ContainerConfig::default()
        };
        assert_eq!(
            ContainerConfig::parse(Path::new("foo.conf"), &config.to_text()),
            Ok(config)
        );
    }
}
