//! The privileges, resources and environment of init.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::sys::capabilities::CapabilitySet;
use runtime::sys::limits;
use runtime::sys::personality::Personality;
use runtime::sys::seccomp::SystemCallFilter;
use runtime::{Network, Privileges, Resources};

use super::properties;
use crate::config::{self, ContainerConfig};
use crate::container::Container;

/// Init's privileges. It may administer the network unless that is the host's.
pub fn privileges(config: &config::Security, network: &Network) -> Result<Privileges> {
    let mut bounding = CapabilitySet::SYSTEM.with(config.capabilities);
    if *network != Network::Host {
        bounding = bounding.with(CapabilitySet::NET_ADMIN);
    }
    let bounding = bounding.without(config.drop_capabilities);
    let ambient = config.ambient_capabilities;
    if !bounding.contains(ambient) {
        bail!(
            "--ambient-capability needs {}, which the container does not have; add it with \
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

/// The filter of system calls for programs with these capabilities.
fn system_calls(config: &config::Security, bounding: CapabilitySet) -> SystemCallFilter {
    let mut filter = SystemCallFilter::for_bounding_set(bounding);
    filter
        .absent
        .retain(|call| !config.permitted_calls.contains(call));
    filter.prohibited.clone_from(&config.prohibited_calls);
    filter.suppress_sync = config.suppress_sync;
    filter.vsock = config.permitted_calls.contains("socket");
    filter.no_user_namespaces = config.no_user_namespaces;
    filter
}

/// The program and the arguments that execute a system's init, which is at `inside`;
/// `system` is the system's path on the host.
///
/// NixOS' stage 2 is a script of bash, and the kernel drops a signal for which process 1
/// has no handler (`man 7 pid_namespaces`). As in nixpkgs' own script, the shell gets one
/// before it reads stage 2, so that a container can be stopped before its systemd is
/// there.
pub fn program(system: &Path, inside: PathBuf) -> (PathBuf, Vec<String>) {
    const STAGE_2: &str = "trap 'exit 0' SIGRTMIN+3; . \"$0\"";
    match interpreter(&system.join("init")) {
        Some(shell) if shell.ends_with("bash") => {
            let words = ["-c", STAGE_2].map(str::to_owned);
            let init = inside.to_string_lossy().into_owned();
            (shell, words.into_iter().chain([init]).collect())
        }
        _ => (inside, Vec::new()),
    }
}

/// The interpreter of a script, if it gets no argument of its own (`man 2 execve`,
/// "Interpreter scripts").
fn interpreter(script: &Path) -> Option<PathBuf> {
    /// `BINPRM_BUF_SIZE` of `linux/binfmts.h`.
    const LONGEST: u64 = 256;
    let mut line = String::new();
    let file = File::open(script).ok()?;
    BufReader::new(file.take(LONGEST))
        .read_line(&mut line)
        .ok()?;
    let words = line.strip_prefix("#!")?.trim();
    let is_path = words.starts_with('/') && !words.contains(char::is_whitespace);
    is_path.then(|| words.into())
}

/// The machine that a system is for, if that is the 32-bit kind of this one: as in
/// nixpkgs' start script, which reads the same file.
fn personality_of(system: &Path) -> Option<Personality> {
    let is_for_x86 = cfg!(target_arch = "x86_64")
        && std::fs::read_to_string(system.join("system"))
            .is_ok_and(|text| text.trim_end() == "i686-linux");
    is_for_x86.then_some(Personality::X86)
}

/// Init's resources. Its limits begin as those of the host's process 1, not of the
/// caller. The kernel counts the tasks of its users if `counts_tasks`. `system` is its
/// path on the host.
pub fn resources(
    config: &config::Resources,
    system: &Path,
    container: &Container,
    counts_tasks: bool,
    notices: &mut Vec<String>,
) -> Result<Resources> {
    let mut limits = limits::of_a_first_process().context("cannot read /proc/1/limits")?;
    for limit in &mut limits {
        let mut configured = config.limits.iter().rev();
        if let Some(own) = configured.find(|own| own.resource == limit.resource) {
            *limit = *own;
        }
    }
    let (cgroup, tasks) =
        properties::resolve(&config.properties, container, counts_tasks, notices)?;
    let memory = properties::memory(&cgroup);
    Ok(Resources {
        limits,
        oom_score_adjust: config.oom_score_adjust,
        cpus: config.cpus.clone(),
        tasks,
        memory,
        cgroup,
        personality: config.personality.or_else(|| personality_of(system)),
    })
}

/// Init's environment variables beside those that the runtime sets. As with
/// systemd-nspawn, a variable without a value inherits the supervisor's, and is empty
/// if there is none.
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
    fn init_may_administer_a_network_that_is_not_the_hosts() {
        let config = config::Security::default();
        let admin = CapabilitySet::NET_ADMIN;
        assert!(bounding(&config, &Network::Private).contains(admin));
        assert!(bounding(&config, &Network::Namespace("/a".into())).contains(admin));
        assert!(!bounding(&config, &Network::Host).contains(admin));
    }

    #[test]
    fn drop_capability_outranks_capability() {
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
    fn ambient_capabilities_must_be_in_the_bounding_set() {
        let config = config::Security {
            ambient_capabilities: CapabilitySet::NET_ADMIN,
            ..config::Security::default()
        };
        assert!(privileges(&config, &Network::Private).is_ok());
        let error = privileges(&config, &Network::Host).expect_err("one is missing");
        assert_eq!(
            error.to_string(),
            "--ambient-capability needs CAP_NET_ADMIN, which the container does not have; add it \
             with --capability, or remove it from --drop-capability"
        );
    }
}
