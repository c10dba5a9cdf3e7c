//! Settings of the container's control group, as numbers of this host.

use anyhow::{Context, Result, bail};
use runtime::CgroupSetting;
use runtime::sys::proc;

use crate::config::{Property, PropertyValue};
use crate::container::Container;

/// Resolves percentages, and looks whether this host can do it.
pub fn resolve(properties: &[Property], container: &Container) -> Result<Vec<CgroupSetting>> {
    if properties.is_empty() {
        return Ok(Vec::new());
    }
    let controllers = container
        .cgroup()?
        .available_controllers()
        .context("cannot find out what the host's control groups can do")?;
    let mut settings = Vec::new();
    for property in properties {
        let Property {
            name, controller, ..
        } = property;
        if !controllers.iter().any(|available| available == controller) {
            bail!(
                "--property={name} needs the controller '{controller}', which cgroup2 of this \
                 host does not have; hosts keep it from there for cgroup version 1 \
                 (systemd.unified_cgroup_hierarchy=1 on the kernel's command line gives it back)"
            );
        }
        settings.push(CgroupSetting {
            file: property.file.to_owned(),
            value: value(&property.value)?,
        });
    }
    Ok(settings)
}

fn value(value: &PropertyValue) -> Result<String> {
    let share = |whole: u64, percent: u8| whole / 100 * u64::from(percent);
    Ok(match value {
        PropertyValue::Words(words) => words.clone(),
        PropertyValue::PercentOfMemory(percent) => {
            let machine = rustix::system::sysinfo();
            share(machine.totalram * u64::from(machine.mem_unit), *percent).to_string()
        }
        PropertyValue::PercentOfTasks(percent) => share(most_tasks()?, *percent).to_string(),
    })
}

/// As many as there can be numbers and threads (`man 5 proc_sys_kernel`).
fn most_tasks() -> Result<u64> {
    let read = |name: &str| -> Result<u64> {
        proc::setting(name).with_context(|| format!("cannot read /proc/sys/{name}"))
    };
    Ok(read("kernel/pid_max")?.min(read("kernel/threads-max")?))
}
