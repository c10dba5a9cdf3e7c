//! Settings of the container's cgroup, with the numbers of this host.

use anyhow::{Context, Result, bail};
use runtime::CgroupSetting;
use runtime::sys::proc;

use crate::config::{Property, PropertyValue};
use crate::container::Container;

/// Resolves percentages, and checks that the host has the cgroup controllers.
pub fn resolve(properties: &[Property], container: &Container) -> Result<Vec<CgroupSetting>> {
    if properties.is_empty() {
        return Ok(Vec::new());
    }
    let controllers = container
        .cgroup()?
        .available_controllers()
        .context("cannot read the host's cgroup controllers")?;
    let mut settings = Vec::new();
    for property in properties {
        let Property {
            name, controller, ..
        } = property;
        if !controllers.iter().any(|available| available == controller) {
            bail!(
                "--property={name} needs the controller '{controller}', which cgroup2 of this \
                 host does not have; on a host with cgroup version 1, add \
                 systemd.unified_cgroup_hierarchy=1 to the kernel's command line"
            );
        }
        settings.push(CgroupSetting {
            file: property.file.to_owned(),
            value: value(&property.value)?,
        });
    }
    Ok(settings)
}

/// The contents of the cgroup file for a property.
fn value(value: &PropertyValue) -> Result<String> {
    let share = |whole: u64, percent: u8| whole / 100 * u64::from(percent);
    Ok(match value {
        PropertyValue::Words(words) => words.clone(),
        PropertyValue::PercentOfMemory(percent) => {
            let machine = rustix::system::sysinfo();
            share(machine.totalram * u64::from(machine.mem_unit), *percent).to_string()
        }
        PropertyValue::PercentOfTasks(percent) => share(max_tasks()?, *percent).to_string(),
    })
}

/// The most tasks that the host can have (`man 5 proc_sys_kernel`).
fn max_tasks() -> Result<u64> {
    let read = |name: &str| -> Result<u64> {
        proc::setting(name).with_context(|| format!("cannot read /proc/sys/{name}"))
    };
    Ok(read("kernel/pid_max")?.min(read("kernel/threads-max")?))
}
