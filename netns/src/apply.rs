//! Performs the steps of a plan.

use std::{collections::HashMap, os::fd::BorrowedFd};

use rtnetlink::Handle;

use crate::{Cause, Error, Side, Step, address, link, netlink, route, veth};

/// Performs `plan`, step by step, on the host and in the container's network
/// namespace, a descriptor of which is `container_netns` (such as
/// `/proc/PID/ns/net`).
///
/// The calling thread is in the container's namespace for a moment and returns
/// to its own.
///
/// # Errors
///
/// [`Error::Step`] names the step that failed. What was done before it stays;
/// [`remove_link`](crate::remove_link) takes both ends of a veth pair away with
/// all their addresses and routes. [`Error::Prepare`] comes before any step.
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
        };
        for step in plan {
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
}

impl Sides<'_> {
    async fn perform(&mut self, step: &Step) -> Result<(), Cause> {
        match step {
            Step::CreateVeth { host, peer } => {
                veth::create(&self.host.netlink, host, peer, self.container_netns).await
            }
            Step::AddAltname { link, altname } => {
                let index = self.host.index_of(link).await?;
                link::add_altname(&self.host.netlink, index, altname).await
            }
            Step::SetUp { side, link } => link::set_up(&self.on(*side).netlink, link).await,
            Step::AddAddress {
                side,
                link,
                address,
            } => {
                let namespace = self.on(*side);
                let index = namespace.index_of(link).await?;
                address::add(&namespace.netlink, index, *address).await
            }
            Step::AddRoute {
                side,
                link,
                destination,
                gateway,
            } => {
                let namespace = self.on(*side);
                let index = namespace.index_of(link).await?;
                route::add(&namespace.netlink, index, *destination, *gateway).await
            }
        }
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

    async fn index_of(&mut self, link: &str) -> Result<u32, Cause> {
        if let Some(index) = self.indexes.get(link) {
            return Ok(*index);
        }
        let index = link::index(&self.netlink, link).await?;
        self.indexes.insert(link.to_owned(), index);
        Ok(index)
    }
}
