//! The systemd unit of a container, and its cgroup.

use std::path::{Path, PathBuf};

use runtime::sys::proc;

use super::name::ContainerName;

/// The unit of a container, as nixpkgs names it.
pub fn name(container: &ContainerName) -> String {
    format!("container@{container}.service")
}

/// The cgroup of the container's unit, relative to the root of all, if this
/// process is in it.
pub fn own_cgroup(container: &ContainerName) -> Option<PathBuf> {
    cgroup_of(container, std::process::id() as i32)
}

/// The cgroup of the container's unit, relative to the root of all, if a
/// process is in it.
pub fn cgroup_of(container: &ContainerName, pid: i32) -> Option<PathBuf> {
    unit_cgroup(&proc::cgroup(pid).ok()?, &name(container))
}

/// Finds the cgroup of a unit among the ancestors of a cgroup.
fn unit_cgroup(cgroup: &Path, unit: &str) -> Option<PathBuf> {
    let is_unit = |group: &&Path| {
        let name = group.file_name();
        name.is_some_and(|name| name.to_string_lossy() == unit)
    };
    // The outermost one: further down, the names are the container's.
    let group = cgroup.ancestors().filter(is_unit).last()?;
    Some(group.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_of_a_unit_is_found_from_below() {
        let unit = "container@foo.service";
        let found = |path: &str| unit_cgroup(Path::new(path), unit);
        let group = PathBuf::from("machine.slice/container@foo.service");
        for below in ["", "/supervisor", "/payload/init.scope"] {
            let path = format!("{}{below}", group.display());
            assert_eq!(found(&path).as_ref(), Some(&group), "{path}");
        }
        // The names inside are the container's.
        let inside = format!("{}/payload/system.slice/{unit}/a", group.display());
        assert_eq!(found(&inside), Some(group), "{inside}");
        for other in [
            "",
            "nixos-container-foo/payload",
            "container@food.service",
            "user.slice",
        ] {
            assert_eq!(found(other), None, "{other}");
        }
    }
}
