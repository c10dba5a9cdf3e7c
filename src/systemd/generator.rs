//! The generator of units (`man 7 systemd.generator`): containers that start with the
//! host, and a drop-in for each unit that needs one.

use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use runtime::{DeviceKind, Origin};

use crate::config::{AllowedDevice, ContainerConfig, CustomContent, Source, WhichDevice};
use crate::container::paths::Places;
use crate::container::unit;
use crate::container::{self, Container};

/// The name under which systemd runs this program as a generator.
pub const PROGRAM: &str = "nixos-container-generator";

/// The units that start with the host. nixpkgs uses `machines.target`, which not every
/// host has.
const WANTS: &str = "multi-user.target.wants";

/// The template of the containers' units.
const TEMPLATE: &str = "container@.service";

/// The directories of the template (`man 5 systemd.unit`).
const UNIT_DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// The normal output directory of generators (`man 7 systemd.generator`).
const GENERATED: &str = "/run/systemd/generator";

/// Whether the drop-in of the container's unit fits its configuration; if not, systemd
/// has to run the generator again. A broken configuration counts as up to date: the
/// start reports it.
pub fn is_up_to_date(container: &Container) -> bool {
    let Ok(config) = container.config() else {
        return true;
    };
    let file = drop_in_file(container, Path::new(GENERATED));
    drop_in(&config) == fs::read_to_string(file).ok()
}

fn drop_in_file(container: &Container, directory: &Path) -> PathBuf {
    let unit = unit::name(container.name());
    directory.join(format!("{unit}.d")).join("50-conf.conf")
}

/// Writes the drop-ins and links of all containers into `directory`. A container with a
/// broken configuration does not affect the others.
pub fn generate(places: &Places, directory: &Path) -> Result<()> {
    for container in container::registry::all(places)? {
        if let Err(error) = generate_for(&container, directory) {
            say!("{PROGRAM}: {error:#}");
        }
    }
    Ok(())
}

fn generate_for(container: &Container, directory: &Path) -> Result<()> {
    let config = container.config()?;
    if let Some(text) = drop_in(&config) {
        let file = drop_in_file(container, directory);
        fs::create_dir_all(file.parent().unwrap_or(directory))
            .and_then(|()| fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    if config.auto_start {
        let unit = unit::name(container.name());
        link_unit(&unit, directory).with_context(|| format!("cannot link {unit} into {WANTS}"))?;
    }
    Ok(())
}

/// Has systemd start a unit with the host.
fn link_unit(unit: &str, directory: &Path) -> io::Result<()> {
    let wants = directory.join(WANTS);
    fs::create_dir_all(&wants)?;
    let template = UNIT_DIRECTORIES
        .map(|directory| Path::new(directory).join(TEMPLATE))
        .into_iter()
        .find(|template| template.exists())
        .unwrap_or_else(|| TEMPLATE.into());
    symlink(template, wants.join(unit))
}

/// The settings of the container's unit beside those of the template.
fn drop_in(config: &ContainerConfig) -> Option<String> {
    let sources = config
        .mounts
        .iter()
        .filter_map(|mount| match &mount.content {
            CustomContent::Bind {
                source: Source::At(Origin::Host, path),
                ..
            } => Some(path),
            _ => None,
        });
    let mut text = String::new();
    let mut section = "";
    let mut set = |of: &'static str, key: &str, value: String| {
        if section != of {
            section = of;
            let _ = writeln!(text, "[{of}]");
        }
        let _ = writeln!(text, "{key}={value}");
    };
    for source in sources {
        let path = escape(&source.to_string_lossy());
        set("Unit", "RequiresMountsFor", path);
    }
    if let Some(timeout) = config.timeout_start {
        set("Service", "TimeoutStartSec", timeout.as_secs().to_string());
    }
    // The supervisor sets them as well; systemd sets its own values again when it
    // reloads its units.
    for property in &config.resources.properties {
        set("Service", property.name, property.text.clone());
    }
    // The container's own device filter cannot allow more than the unit's.
    for device in &config.security.devices {
        set("Service", "DeviceAllow", device_allow(device));
    }
    (!text.is_empty()).then_some(text)
}

/// A device in the syntax of `man 5 systemd.resource-control`.
fn device_allow(AllowedDevice { which, access }: &AllowedDevice) -> String {
    let which = match which {
        WhichDevice::Node(node) => node.to_string_lossy().into_owned(),
        WhichDevice::Drivers { kind, pattern } => match kind {
            DeviceKind::Character => format!("char-{pattern}"),
            DeviceKind::Block => format!("block-{pattern}"),
        },
    };
    let letters = [(access.read, 'r'), (access.write, 'w'), (access.make, 'm')];
    let letters = letters.iter().filter(|(allowed, _)| *allowed);
    let letters: String = letters.map(|(_, letter)| letter).collect();
    format!("{} {letters}", escape(&which))
}

/// A path as a unit file quotes it (`man 5 systemd.unit`, specifiers, and `man 7
/// systemd.syntax`, QUOTING).
fn escape(path: &str) -> String {
    let mut escaped = String::from("\"");
    for character in path.chars() {
        match character {
            '%' => escaped.push_str("%%"),
            '"' | '\\' => escaped.extend(['\\', character]),
            character if character.is_control() => {
                let _ = write!(escaped, "\\x{:02x}", u32::from(character));
            }
            character => escaped.push(character),
        }
    }
    escaped.push('"');
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drop_in_of(conf: &str) -> Option<String> {
        let config = ContainerConfig::parse(Path::new("foo.conf"), conf).expect("valid");
        drop_in(&config)
    }

    #[test]
    fn drop_in_has_bind_sources_and_the_start_timeout() {
        let conf = "TIMEOUT_START_SEC=300\n\
                    EXTRA_NSPAWN_FLAGS=\"--bind=/srv/a:/b --bind-ro=/srv/100% --tmpfs=/var\"\n";
        assert_eq!(
            drop_in_of(conf).as_deref(),
            Some(
                "[Unit]\nRequiresMountsFor=\"/srv/a\"\nRequiresMountsFor=\"/srv/100%%\"\n\
                 [Service]\nTimeoutStartSec=300\n"
            )
        );
        assert_eq!(drop_in_of("PRIVATE_NETWORK=1\n"), None);
    }

    #[test]
    fn drop_in_allows_the_devices_of_its_container() {
        assert_eq!(
            drop_in_of("ALLOWED_DEVICES=\"/dev/fuse, char-input* r,block-loop rw\"\n").as_deref(),
            Some(
                "[Service]\nDeviceAllow=\"/dev/fuse\" rwm\nDeviceAllow=\"char-input*\" r\n\
                 DeviceAllow=\"block-loop\" rw\n"
            )
        );
    }

    #[test]
    fn drop_in_has_the_limits_of_its_container() {
        let conf = "MEMORY_MAX=2G\nTASKS_MAX=100\nCPU_QUOTA=150%\n\
                    EXTRA_NSPAWN_FLAGS=--property=IOWeight=10\n";
        let text = drop_in_of(conf).expect("limits");
        let mut lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.remove(0), "[Service]");
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                "CPUQuota=150%",
                "IOWeight=10",
                "MemoryMax=2G",
                "TasksMax=100"
            ]
        );
    }

    #[test]
    fn escape_quotes_paths_for_unit_files() {
        assert_eq!(escape("/a \"b\"\\\n"), "\"/a \\\"b\\\"\\\\\\x0a\"");
    }
}
