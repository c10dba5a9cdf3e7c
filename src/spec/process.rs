//! What init may do and use.

use anyhow::{Context, Result, bail};
use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::limits;
use runtime::sys::seccomp::SystemCallFilter;
use runtime::{Network, Privileges, Resources};

use super::properties;
use crate::config::{self, ContainerConfig};
use crate::container::Container;

/// What init may do. A network of the container's own is its own to administer.
pub fn privileges(config: &config::Security, network: &Network) -> Result<Privileges> {
    let mut bounding = CapabilitySet::SYSTEM.with(config.capabilities);
    if *network != Network::Host {
        bounding = bounding.with(CapabilitySet::NET_ADMIN);
    }
    let bounding = bounding.without(config.drop_capabilities);
    let ambient = config.ambient_capabilities;
    if !bounding.contains(ambient) {
        bail!(
            "--ambient-capability asks for {}, which the container does not have; add it with \
             --capability, or remove it from --drop-capability",
            ambient.without(bounding)
        );
    }
    Ok(Privileges {
        bounding,
        ambient,
        no_new_privileges: config.no_new_privileges,
        system_calls: system_calls(config, bounding),
    })
}

/// Which system calls there are for programs that have these capabilities.
fn system_calls(config: &config::Security, bounding: CapabilitySet) -> SystemCallFilter {
    let mut filter = SystemCallFilter::for_bounding_set(bounding);
    filter
        .absent
        .retain(|call| !config.permitted_calls.contains(call));
    filter.prohibited.clone_from(&config.prohibited_calls);
    filter.suppress_sync = config.suppress_sync;
    filter
}

/// What init may use. Limits are those of a first process, not the caller's.
pub fn resources(config: &config::Resources, container: &Container) -> Result<Resources> {
    let mut limits = limits::of_a_first_process().context("cannot read /proc/1/limits")?;
    for limit in &mut limits {
        let mut configured = config.limits.iter().rev();
        if let Some(own) = configured.find(|own| own.resource == limit.resource) {
            *limit = *own;
        }
    }
    Ok(Resources {
        limits,
        oom_score_adjust: config.oom_score_adjust,
        cpus: config.cpus.clone(),
        cgroup: properties::resolve(&config.properties, container)?,
        personality: config.personality,
    })
}

/// Variables of init beside those that the runtime sets. As with
/// systemd-nspawn, one that is not set outside either is empty inside.
pub fn environment(config: &ContainerConfig) -> Vec<(String, String)> {
    let configured = config.execution.environment.iter();
    configured
        .map(|(name, value)| {
            let value = value.clone().or_else(|| std::env::var(name).ok());
            (name.clone(), value.unwrap_or_default())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounding(config: &config::Security, network: &Network) -> CapabilitySet {
        privileges(config, network).expect("consistent").bounding
    }

    #[test]
    fn only_a_private_network_may_be_administered() {
        let config = config::Security::default();
        let admin = CapabilitySet::NET_ADMIN;
        assert!(bounding(&config, &Network::Private).contains(admin));
        assert!(bounding(&config, &Network::Namespace("/a".into())).contains(admin));
        assert!(!bounding(&config, &Network::Host).contains(admin));
    }

    #[test]
    fn what_is_dropped_is_dropped_whoever_asked_for_it() {
        let config = config::Security {
            capabilities: CapabilitySet::ALL,
            drop_capabilities: CapabilitySet::NET_ADMIN,
            ..config::Security::default()
        };
        let bounding = bounding(&config, &Network::Private);
        assert_eq!(
            bounding,
            CapabilitySet::ALL.without(CapabilitySet::NET_ADMIN)
        );
    }

    #[test]
    fn ambient_capabilities_must_be_there() {
        let config = config::Security {
            ambient_capabilities: CapabilitySet::NET_ADMIN,
            ..config::Security::default()
        };
        assert!(privileges(&config, &Network::Private).is_ok());
        let error = privileges(&config, &Network::Host).expect_err("it lacks one");
        assert_eq!(
            error.to_string(),
            "--ambient-capability asks for CAP_NET_ADMIN, which the container does not have; add \
             it with --capability, or remove it from --drop-capability"
        );
    }
}
