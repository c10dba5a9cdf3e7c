//! Performs the steps of a plan.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;

use rtnetlink::Handle;

use crate::link::ingress::Place;
use crate::link::reservation::Ports;
use crate::link::{
    self, address, bridge, ingress, interface, macvlan, netlink, pin, record, reservation, route,
    settings, veth,
};
use crate::lock::Lock;
use crate::spoof_check::{Policy, Taken, loopback, own, taken};
use crate::{Cause, Error, MacAddress, Side, Sources, Step, sysctl};

/// Performs `plan`, step by step, on the host and in the container's network
/// namespace `container_netns` (such as `/proc/PID/ns/net`).
///
/// The calling thread enters the container's namespace for a moment and returns
/// to its own.
///
/// # Errors
///
/// [`Error::Step`] names the step that failed. The steps before it are not undone
/// until [`reclaim`](crate::reclaim()). [`Error::Prepare`] comes before any step.
///
/// # Aborts
///
/// If the kernel does not let the thread back into its own namespace.
pub fn apply(plan: &[Step], container_netns: BorrowedFd<'_>) -> Result<(), Error> {
    netlink::block_on(async {
        let mut sides = Sides {
            host: Namespace::new(netlink::connect()?),
            container: Namespace::new(netlink::connect_in(container_netns)?),
            container_netns,
            zones: None,
        };
        for step in plan {
            log::debug!("{step}");
            sides.perform(step).await.map_err(|cause| Error::Step {
                step: Box::new(step.clone()),
                cause,
            })?;
        }
        Ok(())
    })
}

struct Sides<'fd> {
    host: Namespace,
    container: Namespace,
    container_netns: BorrowedFd<'fd>,
    /// The lock of zones, once it is taken.
    zones: Option<Lock>,
}

impl Sides<'_> {
    async fn perform(&mut self, step: &Step) -> Result<(), Cause> {
        match step {
            Step::PinNamespace { path } => pin::pin(path, self.container_netns),
            Step::RecordInterfaces { interfaces, path } => {
                let mut found = Vec::new();
                for interface in interfaces {
                    found.push(settings::read(&self.host.netlink, interface).await?);
                }
                record::write(path, &found)
            }
            Step::MoveInterface { interface, name } => {
                interface::move_in(&self.host.netlink, interface, name, self.container_netns).await
            }
            Step::LockZones { path } => {
                self.zones = Some(Lock::wait(path)?);
                Ok(())
            }
            Step::CreateBridge { bridge, mtu } => {
                bridge::create(&self.host.netlink, bridge, *mtu).await
            }
            Step::CreateVeth {
                host,
                peer,
                mac_address,
                mtu,
                group,
                bridge,
            } => {
                let bridge = match bridge {
                    Some(bridge) => Some(link::get(&self.host.netlink, bridge).await?),
                    None => None,
                };
                let pair = veth::Pair {
                    host,
                    peer,
                    mac_address: *mac_address,
                    mtu: bridge.as_ref().and_then(link::mtu_of).or(*mtu),
                    group: *group,
                    bridge: bridge.map(|bridge| bridge.header.index),
                };
                self.create_veth(&pair).await
            }
            Step::CreateMacvlan {
                parent,
                name,
                mac_address,
            } => {
                let netns = self.container_netns;
                let (netlink, parent) = self.host.link(parent).await?;
                macvlan::create(netlink, parent, name, *mac_address, netns).await
            }
            Step::CreateIpvlan { parent, name } => {
                let netns = self.container_netns;
                let (netlink, parent) = self.host.link(parent).await?;
                macvlan::create_ipvlan(netlink, parent, name, netns).await
            }
            Step::CheckSources {
                link,
                peer,
                mac_address,
                sources,
            } => self.check_sources(link, peer, *mac_address, sources).await,
            Step::CloseLoopback { link } => {
                let (netlink, index) = self.host.link(link).await?;
                ingress::open(netlink, index).await?;
                ingress::add(netlink, index, Place::Own, &loopback::program()).await
            }
            Step::RecordAddresses { link, addresses } => {
                let (netlink, index) = self.host.link(link).await?;
                reservation::record(netlink, index, addresses).await
            }
            Step::ReserveAddresses { link, bridge } => {
                let (_, port) = self.host.link(link).await?;
                let (netlink, bridge) = self.host.link(bridge).await?;
                ingress::add(
                    netlink,
                    port,
                    Place::Taken(0),
                    &taken::program(&Taken::default()),
                )
                .await?;
                reservation::reserve(netlink, bridge, Ports::All).await
            }
            Step::SetHairpin { link } => {
                let (netlink, index) = self.host.link(link).await?;
                bridge::set_hairpin(netlink, index).await
            }
            Step::RefuseAdvertisements { link } => sysctl::refuse_advertisements(link),
            Step::AddAltname {
                side,
                link,
                altname,
            } => {
                let (netlink, index) = self.on(*side).link(link).await?;
                link::add_altname(netlink, index, altname).await
            }
            Step::SetUp { side, link } => link::set_up(&self.on(*side).netlink, link).await,
            Step::AddAddress {
                side,
                link,
                address,
            } => {
                let (netlink, index) = self.on(*side).link(link).await?;
                address::add(netlink, index, *address).await
            }
            Step::AddRoute {
                side,
                link,
                destination,
                gateway,
            } => {
                let (netlink, index) = self.on(*side).link(link).await?;
                route::add(netlink, index, *destination, *gateway).await
            }
        }
    }

    /// Also notes the indexes of both ends, where the kernel tells them.
    async fn create_veth(&mut self, pair: &veth::Pair<'_>) -> Result<(), Cause> {
        let created = veth::create(&self.host.netlink, pair, self.container_netns).await?;
        if let Some(host) = created {
            self.host.know(pair.host, host.header.index);
            if let Some(peer) = link::peer_of(&host) {
                self.container.know(pair.peer, peer);
            }
        }
        Ok(())
    }

    async fn check_sources(
        &mut self,
        link: &str,
        peer: &str,
        mac_address: Option<MacAddress>,
        sources: &Sources,
    ) -> Result<(), Cause> {
        let mac_address = match mac_address {
            Some(given) => given,
            None => {
                let peer = link::get(&self.container.netlink, peer).await?;
                link::mac_address_of(&peer)?
            }
        };
        let policy = Policy {
            mac_address,
            sources: sources.clone(),
        };
        let (netlink, index) = self.host.link(link).await?;
        ingress::open(netlink, index).await?;
        ingress::add(netlink, index, Place::Own, &own::program(&policy)).await
    }

    fn on(&mut self, side: Side) -> &mut Namespace {
        match side {
            Side::Host => &mut self.host,
            Side::Container => &mut self.container,
        }
    }
}

/// A network namespace, seen through a socket in it.
struct Namespace {
    netlink: Handle,
    /// Indexes of links that were asked for, so that each is asked for once.
    indexes: HashMap<String, u32>,
}

impl Namespace {
    fn new(netlink: Handle) -> Self {
        Self {
            netlink,
            indexes: HashMap::new(),
        }
    }

    /// The socket, and the index of a link.
    async fn link(&mut self, link: &str) -> Result<(&Handle, u32), Cause> {
        let index = match self.indexes.get(link) {
            Some(index) => *index,
            None => link::index(&self.netlink, link).await?,
        };
        self.know(link, index);
        Ok((&self.netlink, index))
    }

    fn know(&mut self, link: &str, index: u32) {
        self.indexes.insert(link.to_owned(), index);
    }
}
