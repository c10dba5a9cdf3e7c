//! The time zone of a container whose system does not configure one.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use runtime::LocalTime;

use crate::config::TimeZone;

/// The host's time zone (`man 5 localtime`): a link to a file of the database, or a
/// copy of one.
const LOCAL_TIME: &str = "/etc/localtime";

/// The database of every NixOS system, independent of its configuration.
const DATABASE_INSIDE: &str = "/etc/zoneinfo";

/// The change of the container's `/etc/localtime`.
pub fn resolve(mode: TimeZone, root_is_read_only: bool) -> Result<LocalTime> {
    if mode == TimeZone::Off {
        return Ok(LocalTime::Leave);
    }
    let host = HostZone::read().with_context(|| format!("cannot read {LOCAL_TIME}"))?;
    decide(mode, root_is_read_only, host)
}

/// The host's time zone.
enum HostZone {
    /// A link to a name of the database, as `Europe/Berlin`.
    Name(PathBuf),
    /// Another file.
    File,
    /// No file, which means UTC.
    None,
}

impl HostZone {
    fn read() -> io::Result<Self> {
        match std::fs::read_link(LOCAL_TIME) {
            Ok(link) => Ok(zone_name(&link).map_or(Self::File, Self::Name)),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Ok(Self::None),
                io::ErrorKind::InvalidInput => Ok(Self::File),
                _ => Err(error),
            },
        }
    }
}

/// The part of a link's target behind the database's directory.
fn zone_name(link: &Path) -> Option<PathBuf> {
    let mut components = link.components();
    components.find(|component| component.as_os_str() == "zoneinfo")?;
    let name = components.as_path();
    (name != Path::new("")).then(|| name.to_owned())
}

fn decide(mode: TimeZone, root_is_read_only: bool, host: HostZone) -> Result<LocalTime> {
    let host_file = || PathBuf::from(LOCAL_TIME);
    let link_to = |name| LocalTime::Symlink(Path::new(DATABASE_INSIDE).join(name));
    Ok(match (mode, host) {
        (TimeZone::Off, _) | (TimeZone::Auto, HostZone::None) => LocalTime::Leave,
        (TimeZone::Delete, _) => LocalTime::Remove,
        (_, HostZone::None) => {
            bail!("--timezone needs the host's time zone, but the host has no {LOCAL_TIME}")
        }
        (TimeZone::Copy, _) => LocalTime::Copy(host_file()),
        (TimeZone::Bind, _) => LocalTime::Bind(host_file()),
        (TimeZone::Symlink, HostZone::Name(name)) => link_to(name),
        (TimeZone::Symlink, HostZone::File) => bail!(
            "--timezone=symlink needs a host whose {LOCAL_TIME} is a link to a time zone; use \
             copy or bind"
        ),
        (TimeZone::Auto, _) if root_is_read_only => LocalTime::Bind(host_file()),
        (TimeZone::Auto, HostZone::Name(name)) => link_to(name),
        (TimeZone::Auto, HostZone::File) => LocalTime::Copy(host_file()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zone_name_is_the_path_below_the_database() {
        let name = |link: &str| zone_name(Path::new(link));
        assert_eq!(
            name("/etc/zoneinfo/Europe/Berlin"),
            Some("Europe/Berlin".into())
        );
        assert_eq!(name("../usr/share/zoneinfo/UTC"), Some("UTC".into()));
        assert_eq!(name("/nix/store/x-localtime"), None);
        assert_eq!(name("/etc/zoneinfo/"), None);
    }

    #[test]
    fn auto_follows_the_host() {
        let berlin = || HostZone::Name("Europe/Berlin".into());
        let auto = |read_only, host| decide(TimeZone::Auto, read_only, host).expect("possible");
        assert_eq!(auto(false, HostZone::None), LocalTime::Leave);
        assert_eq!(
            auto(false, berlin()),
            LocalTime::Symlink("/etc/zoneinfo/Europe/Berlin".into())
        );
        assert_eq!(
            auto(false, HostZone::File),
            LocalTime::Copy(LOCAL_TIME.into())
        );
        assert_eq!(auto(true, berlin()), LocalTime::Bind(LOCAL_TIME.into()));
    }

    #[test]
    fn explicit_modes_need_a_time_zone_of_the_host() {
        for (mode, host) in [
            (TimeZone::Copy, HostZone::None),
            (TimeZone::Bind, HostZone::None),
            (TimeZone::Symlink, HostZone::None),
            (TimeZone::Symlink, HostZone::File),
        ] {
            assert!(decide(mode, false, host).is_err(), "{mode:?}");
        }
    }
}
