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

/// A flag: its long name, its short name or both, and its effect.
struct Flag {
    names: &'static [&'static str],
    effect: Effect,
}

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

const fn switch(names: &'static [&'static str], set: fn(&mut ContainerConfig)) -> Flag {
    let effect = Effect::Switch(set);
    Flag { names, effect }
}

const fn value(names: &'static [&'static str], set: Setter) -> Flag {
    let effect = Effect::Value(set);
    Flag { names, effect }
}

const fn optional(names: &'static [&'static str], default: &'static str, set: Setter) -> Flag {
    let effect = Effect::Optional(default, set);
    Flag { names, effect }
}

/// Sets a field to a value, of which the last one given holds.
fn set<T>(field: &mut T, parsed: Parsed<T>) -> Parsed<()> {
    *field = parsed?;
    Ok(())
}

/// Like [`set`], for a field that need not have a value.
fn set_some<T>(field: &mut Option<T>, parsed: Parsed<T>) -> Parsed<()> {
    set(field, parsed.map(Some))
}

/// Adds a value to a list.
fn add<T>(list: &mut Vec<T>, parsed: Parsed<T>) -> Parsed<()> {
    list.push(parsed?);
    Ok(())
}

/// Flags that say how init is run, and which identity it has.
const EXECUTION: &[Flag] = &[
    switch(&["--as-pid2", "-a"], |config| {
        config.execution.as_pid2 = true
    }),
    value(&["--setenv", "-E"], |config, text| {
        add(&mut config.execution.environment, variable(text))
    }),
    value(&["--user", "-u"], |config, text| {
        set_some(&mut config.execution.user, user(text))
    }),
    value(&["--kill-signal"], |config, text| {
        set_some(&mut config.execution.kill_signal, values::signal(text))
    }),
    value(&["--notify-ready"], |config, text| {
        set_some(&mut config.execution.notify_ready, values::boolean(text))
    }),
    value(&["--chdir"], |config, text| {
        set_some(&mut config.execution.working_directory, values::path(text))
    }),
    value(&["--hostname"], |config, text| {
        set_some(&mut config.execution.hostname, hostname(text))
    }),
    value(&["--uuid"], |config, text| {
        set_some(&mut config.execution.machine_id, machine_id(text))
    }),
    value(&["--console"], |config, text| {
        set(&mut config.execution.console, Console::parse(text))
    }),
    switch(&["--pipe", "-P"], |config| {
        config.execution.console = Console::Pipe
    }),
];

/// Flags about credentials for init.
const CREDENTIALS: &[Flag] = &[
    value(&["--set-credential"], |config, text| {
        add(&mut config.credentials, Credential::set(text))
    }),
    value(&["--load-credential"], |config, text| {
        add(&mut config.credentials, Credential::load(text))
    }),
];

/// Flags about the users inside.
const USERS: &[Flag] = &[
    optional(&["--private-users"], "yes", |config, text| {
        set(&mut config.private_users, PrivateUsers::parse(text))
    }),
    switch(&["-U"], |config| {
        config.private_users = PrivateUsers::PickIfPossible
    }),
    value(&["--private-users-ownership"], |config, text| {
        set(&mut config.ownership, Ownership::parse(text))
    }),
    value(&["--bind-user"], |config, text| {
        add(&mut config.bound_users, bound_user(text))
    }),
];

/// Flags that connect the container.
const NETWORK: &[Flag] = &[
    switch(&["--private-network"], |config| {
        config.private_network = true
    }),
    switch(&["--network-veth", "-n"], |config| config.veth = true),
    value(&["--network-veth-extra"], |config, text| {
        add(&mut config.extra_veths, values::veth_ends(text))
    }),
    value(&["--network-bridge"], |config, text| {
        set_some(&mut config.host_bridge, values::interface(text))
    }),
    value(&["--network-zone"], |config, text| {
        set_some(&mut config.zone, values::zone(text))
    }),
    value(&["--network-interface"], |config, text| {
        add(&mut config.interfaces, values::host_interface(text))
    }),
    value(&["--network-macvlan"], |config, text| {
        add(&mut config.macvlans, values::host_interface(text))
    }),
    value(&["--network-ipvlan"], |config, text| {
        add(&mut config.ipvlans, values::host_interface(text))
    }),
    value(&["--network-namespace-path"], |config, text| {
        set_some(&mut config.network_namespace, values::path(text))
    }),
    value(&["--port", "-p"], |config, text| {
        add(&mut config.host_ports, values::port(text))
    }),
];

/// Flags about the privileges of programs inside.
const SECURITY: &[Flag] = &[
    value(&["--capability"], |config, text| {
        let all = &mut config.security.capabilities;
        set(all, capabilities_or_all(text).map(|more| all.with(more)))
    }),
    value(&["--drop-capability"], |config, text| {
        let all = &mut config.security.drop_capabilities;
        set(all, capabilities_or_all(text).map(|more| all.with(more)))
    }),
    value(&["--ambient-capability"], |config, text| {
        let all = &mut config.security.ambient_capabilities;
        set(all, values::capabilities(text).map(|more| all.with(more)))
    }),
    value(&["--no-new-privileges"], |config, text| {
        set(
            &mut config.security.no_new_privileges,
            values::boolean(text),
        )
    }),
    value(&["--system-call-filter"], |config, text| {
        config.security.filter(text)
    }),
    value(&["--suppress-sync"], |config, text| {
        set(&mut config.security.suppress_sync, values::boolean(text))
    }),
];

/// Flags about the resources of programs inside.
const RESOURCES: &[Flag] = &[
    value(&["--rlimit"], |config, text| {
        add(&mut config.resources.limits, quantities::limit(text))
    }),
    value(&["--oom-score-adjust"], |config, text| {
        set_some(&mut config.resources.oom_score_adjust, oom_score(text))
    }),
    value(&["--cpu-affinity"], |config, text| {
        set_some(&mut config.resources.cpus, cpus(text))
    }),
    value(&["--property"], |config, text| {
        add(&mut config.resources.properties, property(text))
    }),
    value(&["--personality"], |config, text| {
        set_some(&mut config.resources.personality, personality(text))
    }),
];

/// Flags about what the host and the container share.
const INTEGRATION: &[Flag] = &[
    value(&["--resolv-conf"], |config, text| {
        set_some(&mut config.resolv_conf, Mode::parse(text))
    }),
    value(&["--timezone"], |config, text| {
        set(&mut config.time_zone, TimeZone::parse(text))
    }),
    value(&["--link-journal"], |config, text| {
        set(&mut config.link_journal, LinkJournal::parse(text))
    }),
    switch(&["-j"], |config| {
        config.link_journal = LinkJournal::Guest { attempt: true }
    }),
];

/// Flags about the root and other file systems.
const MOUNTS: &[Flag] = &[
    switch(&["--read-only"], |config| config.root.read_only = true),
    switch(&["--ephemeral", "-x"], |config| config.root.snapshot = true),
    optional(&["--volatile"], "yes", |config, text| {
        set(&mut config.root.volatile, Volatile::parse(text))
    }),
    value(&["--bind"], |config, text| {
        add(&mut config.mounts, CustomMount::bind(text, false))
    }),
    value(&["--bind-ro"], |config, text| {
        add(&mut config.mounts, CustomMount::bind(text, true))
    }),
    value(&["--tmpfs"], |config, text| {
        add(&mut config.mounts, CustomMount::tmpfs(text))
    }),
    value(&["--overlay"], |config, text| {
        add(&mut config.mounts, CustomMount::overlay(text, false))
    }),
    value(&["--overlay-ro"], |config, text| {
        add(&mut config.mounts, CustomMount::overlay(text, true))
    }),
    value(&["--inaccessible"], |config, text| {
        add(&mut config.mounts, CustomMount::inaccessible(text))
    }),
];

const GROUPS: [&[Flag]; 8] = [
    EXECUTION,
    CREDENTIALS,
    USERS,
    NETWORK,
    SECURITY,
    RESOURCES,
    INTEGRATION,
    MOUNTS,
];

/// Looks up a flag by one of its names, with its dashes.
pub(super) fn find(name: &str) -> Option<&'static Effect> {
    let mut flags = GROUPS.into_iter().flatten();
    let flag = flags.find(|flag| flag.names.contains(&name));
    flag.map(|flag| &flag.effect)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_written_once_and_have_one_or_two_dashes() {
        let flags = GROUPS.into_iter().flatten();
        let names: Vec<_> = flags.flat_map(|flag| flag.names).collect();
        let unique: BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        for name in names {
            let long = name.starts_with("--") && name.len() > 3 && !name.contains('=');
            let short = name.starts_with('-') && name.chars().count() == 2;
            assert!(long || short, "{name}");
        }
    }
}
