//! `UNTRUSTED`: the settings of a container that runs the programs of strangers.

use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::seccomp;

use super::error::Problem;
use super::{ContainerConfig, LinkJournal, PrivateUsers};

/// The key.
pub(super) const KEY: &str = "UNTRUSTED";

/// The share of the host's memory that it gets unless `MEMORY_MAX` says otherwise.
const MEMORY_MAX: &str = "50%";

/// System calls that a booted system does not need, and that reach far into the kernel.
const PROHIBITED: [&str; 13] = [
    "@aio",
    "@cpu-emulation",
    "@debug",
    "@obsolete",
    "fanotify_init",
    "kcmp",
    "mbind",
    "migrate_pages",
    "move_pages",
    "process_madvise",
    "process_vm_readv",
    "process_vm_writev",
    "set_mempolicy",
];

/// Makes the settings that `UNTRUSTED=1` implies.
///
/// # Errors
///
/// A setting that opens what the key closes.
pub(super) fn restrict(config: &mut ContainerConfig) -> Result<(), Problem> {
    if let Some(other) = opposite(config) {
        return Err(Problem::Conflict { key: KEY, other });
    }
    if !matches!(config.private_users, PrivateUsers::These(_)) {
        config.private_users = PrivateUsers::Pick;
    }
    config.private_network = true;
    config.link_journal = LinkJournal::No;
    let resources = &mut config.resources;
    let mut properties = resources.properties.iter();
    if !properties.any(|property| property.name == "MemoryMax") {
        let set = resources.set("MEMORY_MAX", "MemoryMax", MEMORY_MAX);
        set.map_err(|expected| Problem::Value {
            key: "MEMORY_MAX".to_owned(),
            value: MEMORY_MAX.to_owned(),
            expected,
        })?;
    }
    let prohibited = PROHIBITED.into_iter().filter_map(seccomp::calls_named);
    config
        .security
        .prohibited_calls
        .extend(prohibited.flatten());
    config.security.no_user_namespaces = true;
    Ok(())
}

/// A setting that opens what `UNTRUSTED=1` closes.
fn opposite(config: &ContainerConfig) -> Option<&'static str> {
    let security = &config.security;
    let is_identity = matches!(config.private_users, PrivateUsers::These(ids) if ids.is_identity());
    [
        (is_identity, "PRIVATE_USERS=identity"),
        (
            config.private_users == PrivateUsers::OfRoot,
            "PRIVATE_USERS=yes",
        ),
        (!config.interfaces.is_empty(), "INTERFACES"),
        (!config.macvlans.is_empty(), "MACVLANS"),
        (!config.ipvlans.is_empty(), "--network-ipvlan"),
        (config.network_namespace.is_some(), "NETWORK_NAMESPACE_PATH"),
        (config.spoof_check == Some(false), "SPOOF_CHECK=0"),
        (
            security.capabilities != CapabilitySet::NONE,
            "ADDITIONAL_CAPABILITIES and --capability",
        ),
        (!security.devices.is_empty(), "ALLOWED_DEVICES"),
        (
            !security.permitted_calls.is_empty(),
            "--system-call-filter without ~",
        ),
    ]
    .into_iter()
    .find_map(|(is_set, name)| is_set.then_some(name))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Result<ContainerConfig, String> {
        ContainerConfig::parse(Path::new("foo.conf"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_untrusted_container_has_users_and_a_network_of_its_own() {
        let config = parse("UNTRUSTED=1\nPRIVATE_NETWORK=0\nPRIVATE_USERS=no\n").expect("valid");
        assert_eq!(config.private_users, PrivateUsers::Pick);
        assert!(config.private_network && config.security.no_user_namespaces);
        let memory = |config: &ContainerConfig| -> Vec<_> {
            let properties = config.resources.properties.iter();
            properties.map(|property| property.text.clone()).collect()
        };
        assert_eq!(memory(&config), ["50%"]);
        let limited = parse("MEMORY_MAX=1G\nUNTRUSTED=1\n").expect("valid");
        assert_eq!(memory(&limited), ["1G"]);
        assert!(config.security.prohibited_calls.contains("ptrace"));
        let config = parse("UNTRUSTED=1\nPRIVATE_USERS=524288\n").expect("valid");
        assert!(matches!(config.private_users, PrivateUsers::These(_)));
        assert_eq!(parse("UNTRUSTED=0\n"), Ok(ContainerConfig::default()));
    }

    #[test]
    fn settings_that_open_it_are_refused_with_the_line_of_the_key() {
        for (line, name) in [
            ("PRIVATE_USERS=identity", "PRIVATE_USERS=identity"),
            ("PRIVATE_USERS=yes", "PRIVATE_USERS=yes"),
            ("INTERFACES=eth1", "INTERFACES"),
            ("MACVLANS=eth1", "MACVLANS"),
            (
                "EXTRA_NSPAWN_FLAGS=--network-ipvlan=eth1",
                "--network-ipvlan",
            ),
            (
                "NETWORK_NAMESPACE_PATH=/run/netns/a",
                "NETWORK_NAMESPACE_PATH",
            ),
            ("SPOOF_CHECK=0", "SPOOF_CHECK=0"),
            (
                "ADDITIONAL_CAPABILITIES=CAP_SYS_TIME",
                "ADDITIONAL_CAPABILITIES and --capability",
            ),
            ("ALLOWED_DEVICES='/dev/kvm rw'", "ALLOWED_DEVICES"),
            (
                "EXTRA_NSPAWN_FLAGS=--system-call-filter=bpf",
                "--system-call-filter without ~",
            ),
        ] {
            assert_eq!(
                parse(&format!("{line}\nUNTRUSTED=1\n")),
                Err(format!(
                    "foo.conf:2: UNTRUSTED=1 and {name} exclude each other; remove one of them"
                ))
            );
        }
    }
}
