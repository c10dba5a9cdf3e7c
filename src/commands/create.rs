//! `create`: a container whole, or none.
//!
//! While its system is built, a container is a reservation: a hidden file,
//! locked by the process that creates it, which holds its name and addresses.
//! Renamed to `NAME.conf` it is the container. A reservation that nobody has
//! locked was left by a process that was killed, and is cleared away by the next
//! creation, or by a `destroy` of its name.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use netns::ipnet::{IpNet, Ipv4Net};

use crate::cli::Create;
use crate::config::{ContainerConfig, RootConfig};
use crate::container::{self, Container, create_dir};
use crate::lock::Lock;
use crate::name::ContainerName;
use crate::paths::Places;
use crate::system::{self, Options, Source};
use crate::teardown;

/// `create NAME`
pub fn create(places: &Places, arguments: Create) -> Result<()> {
    let source = source(&arguments)?;
    system::check(&source)?;
    let reservation = reserve(places, &arguments)?;
    let container = reservation.container.clone();
    if let Err(error) = furnish(&container, &source) {
        reservation.give_up();
        return Err(error);
    }
    reservation.confirm()?;
    if arguments.ensure_unique_name {
        println!("{}", container.name());
    }
    Ok(())
}

fn source(arguments: &Create) -> Result<Source> {
    if let Some(system) = &arguments.system_path {
        return Ok(Source::System(absolute(system)?));
    }
    let options = match (&arguments.config, &arguments.config_file) {
        (Some(text), _) => Options::Text(text.clone()),
        (None, Some(file)) => Options::Import(absolute(file)?),
        (None, None) => Options::None,
    };
    let nixos = arguments.nixos_path.clone();
    Ok(Source::Configuration { options, nixos })
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot resolve {}", path.display()))
}

/// A name and addresses that nobody else can take.
struct Reservation {
    container: Container,
    lock: Lock,
    /// The root directory was there before: somebody's data, to keep.
    keep_root: bool,
}

fn reserve(places: &Places, arguments: &Create) -> Result<Reservation> {
    create_dir(places.conf_dir(), 0o755)?;
    // Two creations at once must not choose the same name or addresses.
    let _turn = container::take_turn(places)?;
    for name in reservations(places)? {
        teardown::clear_away_killed_creation(&Container::new(places, name))?;
    }
    let name = choose_name(places, arguments)?;
    let container = Container::new(places, name);
    teardown::finish_destruction(&container)?;
    let config = configure(places, arguments)?;
    let keep_root = places.root(container.name()).exists();
    let path = places.reservation(container.name());
    let mut lock = Lock::try_lock(&path)
        .with_context(|| format!("cannot make {}", path.display()))?
        .with_context(|| format!("container '{}' is being created already", container.name()))?;
    let text = format!(
        "{}{}",
        if keep_root { teardown::KEEP_ROOT } else { "" },
        config.to_text()
    );
    lock.file()
        .write_all(text.as_bytes())
        .and_then(|()| lock.file().sync_all())
        .with_context(|| format!("cannot write {}", path.display()))?;
    if let (Some(host), Some(local)) = (config.host_address, config.local_address) {
        eprintln!(
            "host IP is {}, container IP is {}",
            host.addr(),
            local.addr()
        );
    }
    Ok(Reservation {
        container,
        lock,
        keep_root,
    })
}

fn choose_name(places: &Places, arguments: &Create) -> Result<ContainerName> {
    let wanted = &arguments.name;
    if !taken(places, wanted) {
        return Ok(wanted.clone());
    }
    if !arguments.ensure_unique_name {
        bail!(
            "container '{wanted}' exists already; choose another name, or \
             `nixos-container destroy {wanted}` first"
        );
    }
    for number in 0.. {
        let name = format!("{wanted}-{number}")
            .parse()
            .map_err(anyhow::Error::msg)?;
        if !taken(places, &name) {
            return Ok(name);
        }
    }
    bail!("no name is free")
}

fn taken(places: &Places, name: &ContainerName) -> bool {
    places.conf(name).exists() || places.reservation(name).exists()
}

fn configure(places: &Places, arguments: &Create) -> Result<ContainerConfig> {
    let (host, local) = addresses(places, arguments)?;
    let config_file = arguments.config_file.as_deref().map(absolute).transpose()?;
    Ok(ContainerConfig {
        private_network: true,
        host_address: Some(host),
        local_address: Some(local),
        host_bridge: arguments.bridge.clone(),
        host_ports: arguments.port.clone(),
        // The manual page: a private network reaches the world through the host.
        nat: arguments.bridge.is_none(),
        config_file,
        root: RootConfig {
            ephemeral: arguments.ephemeral,
            ..RootConfig::default()
        },
        destroy_on_stop: arguments.ephemeral,
        ..ContainerConfig::default()
    })
}

fn addresses(places: &Places, arguments: &Create) -> Result<(Ipv4Net, Ipv4Net)> {
    let pool = AddressPool::from_environment()?;
    let taken = addresses_in_use(places)?;
    let mut networks = netns::host_networks()?;
    if let (Some(host), Some(local)) = (arguments.host_address, arguments.local_address) {
        require_free(host, local, &taken, &networks)?;
        return Ok((host, local));
    }
    networks.extend(taken.into_iter().map(|(_, address)| address));
    match pool.pairs.first_free(&networks) {
        Some(pair) => Ok((pair.host.into(), pair.container.into())),
        None => bail!(
            "no address pair is free in {}; give one with --host-address and --local-address, \
             destroy a container, or set {ADDRESS_POOL} to a larger network",
            pool.network
        ),
    }
}

/// Names the network that containers get their addresses from.
const ADDRESS_POOL: &str = "NIXOS_CONTAINER_ADDRESS_POOL";

/// That of nixpkgs' tool.
const DEFAULT_ADDRESS_POOL: &str = "10.233.0.0/16";

struct AddressPool {
    network: Ipv4Net,
    pairs: netns::Pool,
}

impl AddressPool {
    /// It stands in the environment, as the places of containers do: whoever
    /// keeps a second set of containers moves all of it the same way.
    fn from_environment() -> Result<Self> {
        let named = std::env::var_os(ADDRESS_POOL).filter(|value| !value.is_empty());
        let text = named.unwrap_or_else(|| DEFAULT_ADDRESS_POOL.into());
        Self::parse(&text.to_string_lossy())
    }

    fn parse(text: &str) -> Result<Self> {
        let not_one = || {
            format!(
                "{ADDRESS_POOL} is {text:?}, but must be an IPv4 network, as {DEFAULT_ADDRESS_POOL}"
            )
        };
        let network: Ipv4Net = text.parse().with_context(not_one)?;
        let pairs = netns::Pool::new(network).with_context(not_one)?;
        Ok(Self { network, pairs })
    }
}

/// Checks a pair of addresses that the user chose.
fn require_free(
    host: Ipv4Net,
    local: Ipv4Net,
    taken: &[(String, IpNet)],
    networks: &[IpNet],
) -> Result<()> {
    let or_none = "or none to get the next free pair";
    for address in [host.addr(), local.addr()] {
        let same = |(_, other): &&(String, IpNet)| other.addr() == address;
        if let Some((owner, _)) = taken.iter().find(same) {
            bail!(
                "the address {address} is taken by container '{owner}'; choose another, {or_none}"
            );
        }
    }
    let local = local.addr();
    if host.addr() == local {
        bail!("the host and the container cannot both be {local}; choose two addresses, {or_none}");
    }
    if networks.iter().any(|network| network.addr() == local) {
        bail!("the address {local} is the host's own; choose another, {or_none}");
    }
    Ok(())
}

/// The addresses of all containers, those included that are being created, and
/// whose they are.
fn addresses_in_use(places: &Places) -> Result<Vec<(String, IpNet)>> {
    let created = container::all(places)?;
    let created = created
        .iter()
        .map(|container| (container.name().clone(), places.conf(container.name())));
    let reserved = reservations(places)?;
    let reserved = reserved
        .into_iter()
        .map(|name| (name.clone(), places.reservation(&name)));
    let mut addresses = Vec::new();
    for (owner, path) in created.chain(reserved) {
        // A file that is broken, or went while we looked, holds no addresses
        // that could be used.
        let text = fs::read_to_string(&path).unwrap_or_default();
        if let Ok(config) = ContainerConfig::parse(&path, &text) {
            addresses.extend(
                config
                    .addresses()
                    .map(|address| (owner.to_string(), address)),
            );
        }
    }
    Ok(addresses)
}

/// The names that are reserved.
fn reservations(places: &Places) -> Result<Vec<ContainerName>> {
    let directory = places.conf_dir();
    let cannot = || format!("cannot read {}", directory.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).with_context(cannot)? {
        let file = entry.with_context(cannot)?.file_name();
        let name = file.to_str().and_then(|file| {
            file.strip_prefix('.')?
                .strip_suffix(".creating")?
                .parse()
                .ok()
        });
        names.extend(name);
    }
    Ok(names)
}

/// Makes the root directory and the system's profile.
fn furnish(container: &Container, source: &Source) -> Result<()> {
    let places = container.places();
    let root = places.root(container.name());
    container.create_directories(root.clone())?;
    let profile = places.system_profile(container.name());
    system::build(container.name(), source, &root, &profile)?;
    system::check(&Source::System(profile))
}

impl Reservation {
    /// Makes it a container, in one step.
    fn confirm(self) -> Result<()> {
        let places = self.container.places();
        let name = self.container.name();
        let conf = places.conf(name);
        // Whoever has the turn sees the one or the other.
        let _turn = container::take_turn(places)?;
        // Now that it is no lock any more, everybody may read it.
        fs::set_permissions(places.reservation(name), Permissions::from_mode(0o644))
            .and_then(|()| fs::rename(places.reservation(name), &conf))
            .and_then(|()| fs::File::open(places.conf_dir())?.sync_all())
            .with_context(|| format!("cannot make {}", conf.display()))
    }

    /// Takes back all that was made.
    fn give_up(self) {
        if let Err(error) = teardown::undo_creation(&self.container, self.keep_root) {
            crate::print_error(&error);
        }
        drop(self.lock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_pool_is_a_network_with_room_for_pairs() {
        let pool = AddressPool::parse("172.20.0.0/14").expect("valid");
        let first = pool.pairs.first_free(&[]).expect("free");
        assert_eq!(first.host.to_string(), "172.20.1.1");
        assert!(AddressPool::parse(DEFAULT_ADDRESS_POOL).is_ok());
        for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/16", "pool"] {
            let error = AddressPool::parse(bad).err().expect(bad);
            let message = format!("{error:#}");
            let start = format!("NIXOS_CONTAINER_ADDRESS_POOL is {bad:?}, but must be an IPv4");
            assert!(message.starts_with(&start), "{message}");
        }
        let small = AddressPool::parse("10.0.0.0/23").err().expect("too small");
        assert!(format!("{small:#}").ends_with("its prefix length must be 22 or less"));
    }
}
