//! Reading a configuration file.

use std::collections::HashMap;
use std::path::Path;

use super::environment_file::{self, Assignment};
use super::error::Problem;
use super::users::PrivateUsers;
use super::{
    ConfigError, ContainerConfig, FlagError, devices, mounts, nspawn_flags, resources, untrusted,
    values,
};

/// The key of a command line of systemd-nspawn(1).
pub(super) const FLAGS: &str = "EXTRA_NSPAWN_FLAGS";

impl ContainerConfig {
    /// Parses the contents of a configuration file; `path` is for messages.
    ///
    /// # Errors
    ///
    /// The first line with an error, in the order of keys and then flags.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let assignments =
            environment_file::parse(text).map_err(|error| ConfigError::syntax(path, error))?;
        // nixpkgs' unit puts the flags after the ones that it derives from other keys,
        // so the flags win.
        let (flags, keys): (Vec<_>, Vec<_>) =
            last_of_each_key(&assignments).partition(|assignment| assignment.key == FLAGS);
        let mut config = Self::default();
        for assignment in keys.into_iter().chain(flags) {
            config
                .apply(&assignment.key, &assignment.value)
                .map_err(|problem| ConfigError::new(path, assignment.line, problem))?;
        }
        if config.untrusted {
            let line = last_of_each_key(&assignments).find(|a| a.key == untrusted::KEY);
            let line = line.map_or(0, |assignment| assignment.line);
            untrusted::restrict(&mut config)
                .map_err(|problem| ConfigError::new(path, line, problem))?;
        }
        Ok(config)
    }

    fn apply(&mut self, key: &str, value: &str) -> Result<(), Problem> {
        match key {
            FLAGS => self.add_flags(value).map_err(Problem::Flag),
            // nixpkgs' unit reads an empty value as "not set".
            _ if value.is_empty() => Ok(()),
            _ => self.set(key, value).map_err(|expected| Problem::Value {
                key: key.to_owned(),
                value: value.to_owned(),
                expected,
            }),
        }
    }

    /// Applies the value of `EXTRA_NSPAWN_FLAGS`.
    pub(super) fn add_flags(&mut self, value: &str) -> Result<(), FlagError> {
        let words = nspawn_flags::words(value)?;
        nspawn_flags::apply(self, words.iter().map(String::as_str))
    }

    /// Sets a key to a value. The error is a description of a valid value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), &'static str> {
        match key {
            "SYSTEM_PATH" => self.system_path = Some(values::path(value)?),
            "CONFIG_FILE" => self.config_file = Some(values::path(value)?),
            "FLAKE" => self.flake = Some(value.parse()?),
            "TRUSTED_CONFIGURATION" => self.trusted_configuration = Some(value.to_owned()),
            "AUTO_START" => self.auto_start = values::switch(value)?,
            "COPY_RESOLV_CONF" => self.copy_resolv_conf = Some(values::switch(value)?),
            "TIMEOUT_START_SEC" => self.timeout_start = Some(values::time_span(value)?),
            "PRIVATE_NETWORK" => self.private_network = values::switch(value)?,
            "HOST_ADDRESS" => {
                values::keep_address(value, &mut self.host_address, &mut self.host_address6)?;
            }
            "LOCAL_ADDRESS" => {
                values::keep_address(value, &mut self.local_address, &mut self.local_address6)?;
            }
            "HOST_ADDRESS6" => values::keep_address6(value, &mut self.host_address6)?,
            "LOCAL_ADDRESS6" => values::keep_address6(value, &mut self.local_address6)?,
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
            "UNTRUSTED" => self.untrusted = values::switch(value)?,
            "NIX_DAEMON" => self.no_nix_daemon = !values::switch(value)?,
            "SPOOF_CHECK" => self.spoof_check = Some(values::switch(value)?),
            "NAT" => self.nat = values::switch(value)?,
            "ADDITIONAL_CAPABILITIES" => {
                self.security.capabilities = values::capabilities(value)?;
            }
            "ALLOWED_DEVICES" => self.security.devices = devices::allowed_devices(value)?,
            "LIMIT_NOFILE" => self.resources.limits.push(resources::open_files(value)?),
            "CONSOLE_LOG_MAX" => self.resources.console_log_max = Some(resources::size(value)?),
            "JOURNAL_MAX_USE" => self.resources.journal_max_use = Some(resources::size(value)?),
            "MEMORY_MAX" => self.resources.set("MEMORY_MAX", "MemoryMax", value)?,
            "CPU_QUOTA" => self.resources.set("CPU_QUOTA", "CPUQuota", value)?,
            "TASKS_MAX" => self.resources.set("TASKS_MAX", "TasksMax", value)?,
            "IO_WEIGHT" => self.resources.set("IO_WEIGHT", "IOWeight", value)?,
            _ => self.unknown_keys.push(key.to_owned()),
        }
        Ok(())
    }
}

/// As in an environment, the last value of a name holds.
fn last_of_each_key(assignments: &[Assignment]) -> impl Iterator<Item = &Assignment> {
    let indices = assignments.iter().enumerate();
    let last: HashMap<_, _> = indices.map(|(index, a)| (&a.key, index)).collect();
    let all = assignments.iter().enumerate();
    all.filter_map(move |(index, a)| (last[&a.key] == index).then_some(a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ContainerConfig, ConfigError> {
        ContainerConfig::parse(Path::new("foo.conf"), text)
    }

    #[test]
    fn file_of_nixpkgs_tool_is_understood() {
        let config = parse(
            "PRIVATE_NETWORK=1\nHOST_ADDRESS=10.233.1.1\nLOCAL_ADDRESS=10.233.1.2\n\
             HOST_BRIDGE=\nHOST_PORT=\nAUTO_START=0\nFLAKE=github:me/mine?dir=x\n",
        )
        .expect("valid");
        assert!(config.private_network && !config.auto_start);
        // Without the name of a system, it is nixpkgs' default.
        let toplevel = config.flake.map(|flake| flake.toplevel());
        assert!(
            toplevel.is_some_and(|text| text.contains("?dir=x#nixosConfigurations.\"container\"."))
        );
        assert_eq!(config.local_address, values::address4("10.233.1.2").ok());
    }

    #[test]
    fn address_of_either_family_needs_no_key_of_its_own() {
        let addresses = "HOST_ADDRESS=fc00::1\nLOCAL_ADDRESS=fc00::2\n";
        let keys = "HOST_ADDRESS6=fc00::1\nLOCAL_ADDRESS6=fc00::2\n";
        assert_eq!(parse(addresses), parse(keys));
        assert_eq!(parse(&format!("{addresses}{keys}")), parse(keys));
        let extra =
            |six| format!("EXTRA_VETHS=lan,hostAddress{six}=fc00::1,localAddress{six}=fc00::2");
        assert_eq!(parse(&extra("")), parse(&extra("6")));
        for text in [
            "HOST_ADDRESS=fc00::1\nHOST_ADDRESS6=fc00::9\n",
            "HOST_ADDRESS6=fc00::9\nHOST_ADDRESS=fc00::1\n",
        ] {
            let error = parse(text).expect_err("two addresses").to_string();
            assert!(
                error.ends_with("must be the only IPv6 address of its end of the link"),
                "{error}"
            );
        }
    }

    #[test]
    fn last_value_of_a_key_holds() {
        let config = parse("NAT=1\nTMPFS=/a\nHOST_BRIDGE=br0\nTMPFS=/b\nHOST_BRIDGE=\n");
        let config = config.expect("valid");
        assert!(config.nat && config.host_bridge.is_none());
        assert_eq!(config.mounts.len(), 1);
    }

    #[test]
    fn error_names_file_line_and_key() {
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
    fn flags_and_keys_set_the_same_fields() {
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
    fn flags_win_over_keys_and_add_to_lists() {
        let config = parse(
            "EXTRA_NSPAWN_FLAGS=--network-bridge=br1 --port=81\nHOST_BRIDGE=br0\nHOST_PORT=80\n",
        )
        .expect("valid");
        assert_eq!(config.host_bridge, values::interface("br1").ok());
        assert_eq!(Ok(config.host_ports), values::ports("80,81"));
    }

    #[test]
    fn keys_of_resources_come_before_flags() {
        let config = parse(
            "EXTRA_NSPAWN_FLAGS='--property=TasksMax=9 --rlimit=NOFILE=7'\nTASKS_MAX=8\n\
             LIMIT_NOFILE=6\nCONSOLE_LOG_MAX=2M\nJOURNAL_MAX_USE=3M\n",
        );
        let resources = config.expect("valid").resources;
        let tasks = resources.properties.iter().map(|property| property.key);
        assert_eq!(tasks.collect::<Vec<_>>(), [Some("TASKS_MAX"), None]);
        let files = resources.limits.iter().map(|limit| limit.soft);
        assert_eq!(files.collect::<Vec<_>>(), [Some(6), Some(7)]);
        let logs = (resources.console_log_max, resources.journal_max_use);
        assert_eq!(logs, (Some(2 << 20), Some(3 << 20)));
        assert_eq!(
            parse("CPU_QUOTA=half\n").map_err(|error| error.to_string()),
            Err(
                "foo.conf:1: CPU_QUOTA is \"half\", but must be PERCENT of one processor's time, \
                 as 150%"
                    .to_owned()
            )
        );
    }

    #[test]
    fn error_in_a_flag_names_file_line_and_flag() {
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
    fn unknown_key_is_not_an_error() {
        assert_eq!(
            parse("MINE=1\n").map(|config| config.unknown_keys),
            Ok(vec!["MINE".to_owned()])
        );
    }
}
