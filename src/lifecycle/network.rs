//! The host's part of a container's network: checked, created, watched and removed.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};
use netns::firewall::{self, Firewall, Watch};
use netns::{BridgeWatch, HostLink};

use crate::container::Container;
use crate::container::name::ContainerName;
use crate::spec::network::PrivateNetwork;
use crate::spec::network::hosts_file;

/// The addresses on the links of a running container, for one whose network gives them:
/// root asks the kernel. Empty for other users, and if the network is the host's.
pub fn addresses_on_links(leader: i32) -> Result<Vec<IpAddr>> {
    let path = format!("/proc/{leader}/ns/net");
    let cannot = || format!("cannot open {path}");
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || is_same_file(&path, "/proc/self/ns/net").with_context(cannot)? {
        return Ok(Vec::new());
    }
    let namespace = File::open(&path).with_context(cannot)?;
    Ok(netns::addresses_in(namespace.as_fd())?)
}

fn is_same_file(one: &str, other: &str) -> io::Result<bool> {
    let (one, other) = (fs::metadata(one)?, fs::metadata(other)?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

thread_local! {
    static FIREWALL: OnceCell<Rc<Firewall>> = const { OnceCell::new() };
}

/// The host's firewall. The socket is opened once and closed at the end of the
/// process, since closing it can take tens of milliseconds ([`Firewall`]), for
/// which no start and no stop should wait.
fn host_firewall() -> Result<Rc<Firewall>> {
    FIREWALL.with(|cell| {
        if let Some(open) = cell.get() {
            return Ok(Rc::clone(open));
        }
        let opened = Rc::new(Firewall::open()?);
        Ok(Rc::clone(cell.get_or_init(|| opened)))
    })
}

impl PrivateNetwork {
    /// Fails if the host lacks what the network needs, or another container has
    /// it. Changes nothing.
    pub fn check(&self) -> Result<()> {
        netns::check(&self.links)?;
        Ok(host_firewall()?.conflict(&self.firewall)?)
    }

    /// Creates the links, addresses and routes of the container, whose network
    /// namespace is `namespace`.
    pub fn create_links(&self, namespace: BorrowedFd<'_>) -> Result<()> {
        Ok(netns::apply(&netns::plan(&self.links), namespace)?)
    }

    /// The indexes of the container's links on the host.
    pub fn link_indices(&self) -> Vec<i32> {
        let links = [
            HostLink::veth(&self.container),
            HostLink::bridge_port(&self.container),
        ];
        links
            .iter()
            .filter_map(|link| nix::net::if_::if_nametoindex(link.interface()).ok())
            .filter_map(|index| index.try_into().ok())
            .collect()
    }

    /// Installs the rules that forward ports and masquerade. Returns notices for
    /// the user: settings of the host that were changed, and what of the host's
    /// blocks packets all the same.
    pub fn install_rules(&self) -> Result<Vec<String>> {
        let rules = firewall::plan(&self.firewall);
        if rules.is_empty() {
            return Ok(Vec::new());
        }
        let firewall = host_firewall()?;
        let changes = firewall.apply(&self.container, &rules, &self.run_directory)?;
        let mut notices: Vec<_> = changes.iter().map(ToString::to_string).collect();
        notices.extend(firewall.diagnose(&self.firewall));
        Ok(notices)
    }

    fn has_rules(&self) -> Result<bool> {
        let rules = firewall::plan(&self.firewall);
        Ok(host_firewall()?.has(&self.container, &rules)?)
    }

    fn remove_rules(&self) -> Result<bool> {
        Ok(host_firewall()?.remove(&self.container, &self.run_directory)?)
    }

    /// Watches the bridges that the container is in; `None` if it is in none. The links
    /// exist.
    pub fn watch_bridges(&self) -> Result<Option<BridgeWatch>> {
        Ok(BridgeWatch::open(&netns::plan(&self.links))?)
    }

    /// Watches the rules that [`PrivateNetwork::install_rules`] installs; `None`
    /// if there are none.
    pub fn watch_rules(&self) -> Result<Option<WatchedRules<'_>>> {
        if firewall::plan(&self.firewall).is_empty() {
            return Ok(None);
        }
        let watch = Watch::open()?;
        Ok(Some(WatchedRules {
            network: self,
            watch,
        }))
    }

    /// Adds the container's names to the host's `/etc/hosts`. Returns notices
    /// for the user: names that are taken, or why there is none. The container
    /// can still be reached by its address.
    pub fn add_host_names(&self) -> Vec<String> {
        hosts_file::add(&self.container, &self.host_names, &self.hosts_lock).unwrap_or_else(
            |error| {
                vec![format!(
                    "cannot add its name to {}: {error:#}",
                    hosts_file::PATH
                )]
            },
        )
    }
}

/// The rules of a running container, which another program may remove together
/// with its own. The descriptor is readable after a change of the host's rules,
/// unless it was a change for another container.
pub struct WatchedRules<'a> {
    network: &'a PrivateNetwork,
    watch: Watch,
}

impl WatchedRules<'_> {
    /// Installs the rules again if they are lost. Returns notices for the user.
    ///
    /// # Errors
    ///
    /// The rules cannot be installed again, and what was installed of them is
    /// removed. This must not be called again then: with the removal our table
    /// may go, which this container and others see as a loss. If any of them
    /// tried again what fails, there would be no end.
    pub fn restore_if_lost(&self) -> Result<Vec<String>> {
        const LOST: &str = "forwarded ports and NAT were removed with the host's rules";
        if !self.are_lost()? {
            return Ok(Vec::new());
        }
        loop {
            match self.network.install_rules() {
                Ok(notices) => {
                    let mut all = vec![format!("{LOST}, and were restored")];
                    all.extend(notices);
                    return Ok(all);
                }
                // They were removed once more meanwhile, which can be the cause.
                Err(_) if self.are_lost()? => {}
                Err(error) => {
                    let lost = format!("{LOST}, and the container goes on without them");
                    return Err(self.give_up(error).context(lost));
                }
            }
        }
    }

    /// Whether the rules were removed and are not there again. They are there
    /// again if this container came while the last other one went, or if the
    /// program that removed them had saved them and put them back.
    fn are_lost(&self) -> Result<bool> {
        let removed = self.watch.rules_are_lost().context(
            "forwarded ports and NAT will not be restored if they are removed with the host's rules",
        )?;
        Ok(removed && !self.network.has_rules().unwrap_or(false))
    }

    /// Removes what is left. Without the rules, nothing guards the host's
    /// loopback.
    fn give_up(&self, error: anyhow::Error) -> anyhow::Error {
        match self.network.remove_rules() {
            Ok(_) => error,
            Err(left) => error.context(format!(
                "what was restored of them cannot be removed ({left:#})"
            )),
        }
    }
}

impl AsFd for WatchedRules<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

/// Removes, after the container's end, what does not go with its network
/// namespace: interfaces that had moved in, zones, rules and settings of the
/// host, names. Returns notices for the user: what was not restored.
pub fn release(container: &Container) -> Result<Vec<String>> {
    remove_host_part(container, netns::release)
}

/// Like [`release`], and removes the links, too, in case that they are left by
/// an earlier run of the container.
pub fn reclaim(container: &Container) -> Result<Vec<String>> {
    remove_host_part(container, netns::reclaim)
}

type RemoveLinks = fn(&ContainerName, &Path) -> Result<Vec<netns::Error>, netns::Error>;

fn remove_host_part(container: &Container, remove_links: RemoveLinks) -> Result<Vec<String>> {
    let name = container.name();
    let run_directory = container.places().run_dir();
    let mut notices = Vec::new();
    if let Err(error) = hosts_file::remove(name, &container.places().hosts_lock()) {
        let path = hosts_file::PATH;
        notices.push(format!("cannot remove its name from {path}: {error:#}"));
    }
    let unrestored = remove_links(name, run_directory)?;
    notices.extend(unrestored.iter().map(ToString::to_string));
    host_firewall()?.remove(name, run_directory)?;
    Ok(notices)
}
