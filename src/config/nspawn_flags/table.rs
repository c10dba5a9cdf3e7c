//! The flags of systemd-nspawn(1), each written once.

use crate::config::error::Parsed;
use crate::config::execution::{hostname, machine_id, user, variable};
use crate::config::properties::property;
use crate::config::quantities;
use crate::config::resolv_conf::Mode;
use crate::config::resources::{cpus, oom_score, personality};
use crate::config::security::capabilities_or_all;
use crate::config::users::bound_user;
use crate::config::values;
use crate::config::{
    Console, ContainerConfig, Credential, CustomMount, LinkJournal, Ownership, PrivateUsers,
    TimeZone, Volatile,
};

use Effect::{Optional, Switch, Value};

/// What a flag does to a configuration.
pub(super) enum Effect {
    /// The flag takes no value.
    Switch(fn(&mut ContainerConfig)),
    /// The flag takes a value, in the same word or else in the next one.
    Value(Setter),
    /// The flag takes a value in the same word, or else has this one.
    Optional(&'static str, Setter),
}

/// Reads a value into a configuration.
pub(super) type Setter = fn(&mut ContainerConfig, &str) -> Parsed<()>;

/// Sets a field to a value, of which the last one given holds.
macro_rules! set {
    ($($field:ident).+, $parse:expr) => {
        |config, text| $parse(text).map(|value| config.$($field).+ = value.into())
    };
}

/// Adds a value to a list.
macro_rules! add {
    ($($list:ident).+, $parse:expr) => {
        |config, text| $parse(text).map(|value| config.$($list).+.push(value))
    };
}

/// Adds capabilities to a set.
macro_rules! unite {
    ($($set:ident).+, $parse:expr) => {
        |config, text| $parse(text).map(|more| config.$($set).+ = config.$($set).+.with(more))
    };
}

/// Looks up a flag by one of its names, with its dashes.
pub(super) fn find(name: &str) -> Option<Effect> {
    Some(match name {
        // How init is run, and which identity it has.
        "--as-pid2" | "-a" => Switch(|config| config.execution.as_pid2 = true),
        "--setenv" | "-E" => Value(add!(execution.environment, variable)),
        "--user" | "-u" => Value(set!(execution.user, user)),
        "--kill-signal" => Value(set!(execution.kill_signal, values::signal)),
        "--notify-ready" => Value(set!(execution.notify_ready, values::boolean)),
        "--chdir" => Value(set!(execution.working_directory, values::path)),
        "--hostname" => Value(set!(execution.hostname, hostname)),
        "--uuid" => Value(set!(execution.machine_id, machine_id)),
        "--console" => Value(set!(execution.console, Console::parse)),
        "--pipe" | "-P" => Switch(|config| config.execution.console = Console::Pipe),
        // Credentials for init.
        "--set-credential" => Value(add!(credentials, Credential::set)),
        "--load-credential" => Value(add!(credentials, Credential::load)),
        // The users inside.
        "--private-users" => Optional("yes", set!(private_users, PrivateUsers::parse)),
        "-U" => Switch(|config| config.private_users = PrivateUsers::PickIfPossible),
        "--private-users-ownership" => Value(set!(ownership, Ownership::parse)),
        "--bind-user" => Value(add!(bound_users, bound_user)),
        // The network.
        "--private-network" => Switch(|config| config.private_network = true),
        "--network-veth" | "-n" => Switch(|config| config.veth = true),
        "--network-veth-extra" => Value(add!(extra_veths, values::veth_ends)),
        "--network-bridge" => Value(set!(host_bridge, values::interface)),
        "--network-zone" => Value(set!(zone, values::zone)),
        "--network-interface" => Value(add!(interfaces, values::host_interface)),
        "--network-macvlan" => Value(add!(macvlans, values::host_interface)),
        "--network-ipvlan" => Value(add!(ipvlans, values::host_interface)),
        "--network-namespace-path" => Value(set!(network_namespace, values::path)),
        "--port" | "-p" => Value(add!(host_ports, values::port)),
        // Privileges of programs inside.
        "--capability" => Value(unite!(security.capabilities, capabilities_or_all)),
        "--drop-capability" => Value(unite!(security.drop_capabilities, capabilities_or_all)),
        "--ambient-capability" => {
            Value(unite!(security.ambient_capabilities, values::capabilities))
        }
        "--no-new-privileges" => Value(set!(security.no_new_privileges, values::boolean)),
        "--system-call-filter" => Value(|config, text| config.security.filter(text)),
        "--suppress-sync" => Value(set!(security.suppress_sync, values::boolean)),
        // Resources of programs inside.
        "--rlimit" => Value(add!(resources.limits, quantities::limit)),
        "--oom-score-adjust" => Value(set!(resources.oom_score_adjust, oom_score)),
        "--cpu-affinity" => Value(set!(resources.cpus, cpus)),
        "--property" => Value(add!(resources.properties, property)),
        "--personality" => Value(set!(resources.personality, personality)),
        // What the host and the container share.
        "--resolv-conf" => Value(set!(resolv_conf, Mode::parse)),
        "--timezone" => Value(set!(time_zone, TimeZone::parse)),
        "--link-journal" => Value(set!(link_journal, LinkJournal::parse)),
        "-j" => Switch(|config| config.link_journal = LinkJournal::Guest { attempt: true }),
        // The root and other file systems.
        "--read-only" => Switch(|config| config.root.read_only = true),
        "--ephemeral" | "-x" => Switch(|config| config.root.snapshot = true),
        "--volatile" => Optional("yes", set!(root.volatile, Volatile::parse)),
        "--bind" => Value(add!(mounts, |text| CustomMount::bind(text, false))),
        "--bind-ro" => Value(add!(mounts, |text| CustomMount::bind(text, true))),
        "--tmpfs" => Value(add!(mounts, CustomMount::tmpfs)),
        "--overlay" => Value(add!(mounts, |text| CustomMount::overlay(text, false))),
        "--overlay-ro" => Value(add!(mounts, |text| CustomMount::overlay(text, true))),
        "--inaccessible" => Value(add!(mounts, CustomMount::inaccessible)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_or_two_dashes() {
        let code = include_str!("table.rs").split("#[cfg(test)]").next();
        let arms = code.unwrap_or_default().lines().filter_map(|line| {
            let (names, _) = line.trim().strip_prefix('"')?.split_once("\" =>")?;
            Some(names)
        });
        let names: Vec<_> = arms.flat_map(|names| names.split("\" | \"")).collect();
        assert!(names.contains(&"--setenv") && names.contains(&"-E"));
        for name in names {
            let long = name.starts_with("--") && name.len() > 3 && !name.contains('=');
            let short = name.starts_with('-') && name.chars().count() == 2;
            assert!(long || short, "{name}");
            assert!(find(name).is_some(), "{name}");
        }
    }
}
