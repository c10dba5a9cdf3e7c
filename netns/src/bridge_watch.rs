//! Follows the bridges that a container is in.
//!
//! A container must not take the addresses of its bridge, which often gets them after
//! its first container is there, as with DHCP, link-local addresses and the zones that
//! systemd-networkd knows; and those of other containers are free again when their
//! ports are gone. A bridge that is removed and made anew, as when the host's network
//! is set up again, gets back its ports.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_route::link::InfoKind;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rtnetlink::{Handle, LinkUnspec};
use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

use crate::link::reservation::Ports;
use crate::link::{self, bridge, netlink, reservation};
use crate::{Cause, Error, Step};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR` of
/// `linux/rtnetlink.h`.
const GROUPS: [u32; 3] = [1, 5, 9];

/// `RTM_NEWLINK`, `RTM_DELLINK` and `IFLA_MASTER` of `linux/rtnetlink.h` and
/// `linux/if_link.h`.
const LINK_CHANGED: u16 = 16;
const LINK_REMOVED: u16 = 17;
const MASTER: u32 = 10;

/// Offset of `nlmsg_type` of `struct nlmsghdr`.
const TYPE_AT: u32 = 4;
/// Offset of `ifa_index` of `struct ifaddrmsg`, and of `ifi_index` of `struct
/// ifinfomsg`, behind `struct nlmsghdr`.
const INDEX_AT: u32 = 20;
/// Offset of the attributes behind `struct nlmsghdr` and `struct ifinfomsg`.
const ATTRIBUTES_AT: u32 = 32;
/// Offset of an attribute's value in it.
const VALUE_AT: u32 = 4;

// Of `linux/bpf_common.h`.
const LOAD: u16 = 0x00;
const LOAD_X: u16 = 0x01;
const LOAD_WORD: u16 = 0x20;
const LOAD_HALF: u16 = 0x28;
const LOAD_WORD_AT_X: u16 = 0x40;
const COPY_TO_X: u16 = 0x07;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
/// `SKF_AD_OFF` and `SKF_AD_NLATTR` of `linux/filter.h`: loads the offset of the
/// attribute in X, searched from the offset in the accumulator; 0 if there is none.
const FIND_ATTRIBUTE: u32 = 0xffff_f000 + 12;

/// Watches the bridges that a container's links are ports of. The socket is readable
/// when there is something to do.
#[derive(Debug)]
pub struct BridgeWatch {
    socket: Socket,
    ports: Vec<Port>,
}

/// The end of a link on the host that is in a bridge.
#[derive(Debug)]
struct Port {
    index: u32,
    /// The name of its bridge.
    bridge: String,
    /// The bridge that it is in, or was last.
    bridge_index: Option<u32>,
    hairpin: bool,
    /// Whether it is kept from addresses of others.
    reserves: bool,
}

impl BridgeWatch {
    /// Watches the bridges of `plan`, which has been applied, and reserves the
    /// addresses that they have got meanwhile; `None` if it has no bridge.
    ///
    /// # Errors
    ///
    /// [`Error::Prepare`], and those of [`BridgeWatch::follow`].
    pub fn open(plan: &[Step]) -> Result<Option<Self>, Error> {
        let ports = netlink::block_on(ports(plan))?;
        if ports.is_empty() {
            return Ok(None);
        }
        let socket = open().map_err(cannot_watch)?;
        let mut watch = Self { socket, ports };
        watch.set_filter()?;
        watch.follow()?;
        Ok(Some(watch))
    }

    /// Puts ports back into bridges that have been made anew, and reserves the addresses
    /// that the bridges have now. Does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::List`] and [`Error::Link`] if the kernel refuses, [`Error::Prepare`] if
    /// it cannot be asked.
    pub fn follow(&mut self) -> Result<(), Error> {
        loop {
            self.drain()?;
            let changed = netlink::block_on(async {
                let netlink = netlink::connect()?;
                let mut changed = false;
                for port in &mut self.ports {
                    changed |= port.follow(&netlink).await?;
                    port.reserve(&netlink).await?;
                }
                Ok(changed)
            })?;
            if !changed {
                return Ok(());
            }
            // What the earlier filter dropped is found by another look.
            self.set_filter()?;
        }
    }

    fn set_filter(&self) -> Result<(), Error> {
        let filter = filter(&self.ports);
        let attached = SockRef::from(&self.socket).attach_filter(&filter);
        attached.map_err(cannot_watch)
    }

    fn drain(&self) -> Result<(), Error> {
        let mut buffer = Vec::with_capacity(4096);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::AGAIN) => return Ok(()),
                    // There were more changes than fit into the socket's buffer
                    // (netlink(7)).
                    Some(Errno::INTR | Errno::NOBUFS) => {}
                    _ => return Err(Error::list("addresses")(error.into())),
                },
            }
        }
    }
}

fn cannot_watch(error: io::Error) -> Error {
    Error::Prepare {
        operation: "watch the container's bridges",
        cause: error.into(),
    }
}

/// The ports that a plan has made.
async fn ports(plan: &[Step]) -> Result<Vec<Port>, Error> {
    let netlink = netlink::connect()?;
    let mut ports = Vec::new();
    for step in plan {
        let Step::CreateVeth {
            host,
            bridge: Some(bridge),
            ..
        } = step
        else {
            continue;
        };
        let found = link::find(&netlink, host).await;
        // It is gone if the container has ended.
        let Some(found) = found.map_err(Error::link("look up", host))? else {
            continue;
        };
        ports.push(Port {
            index: found.header.index,
            bridge: bridge.clone(),
            bridge_index: link::master_of(&found),
            hairpin: plan
                .iter()
                .any(|step| matches!(step, Step::SetHairpin { link } if link == host)),
            reserves: plan
                .iter()
                .any(|step| matches!(step, Step::ReserveAddresses { link, .. } if link == host)),
        });
    }
    Ok(ports)
}

impl Port {
    /// Whether its bridge is gone, or has been made anew; it joins the latter.
    async fn follow(&mut self, netlink: &Handle) -> Result<bool, Error> {
        let cannot = || Error::link("look up", &self.bridge);
        if let Some(index) = self.bridge_index {
            let found = link::find_by_index(netlink, index).await;
            if found.map_err(cannot())?.is_some() {
                return Ok(false);
            }
        }
        let found = link::find(netlink, &self.bridge).await.map_err(cannot())?;
        let found = found.filter(|found| link::kind_of(found) == Some(&InfoKind::Bridge));
        let found = found.map(|found| found.header.index);
        if let Some(bridge) = found {
            match self.join(netlink, bridge).await {
                // It is gone again, or the container has ended.
                Err(cause) if cause.is(Errno::NODEV) => return Ok(false),
                joined => joined.map_err(Error::link("put the container into", &self.bridge))?,
            }
            log::info!("bridge {} is there again", self.bridge);
        }
        Ok(std::mem::replace(&mut self.bridge_index, found) != found)
    }

    async fn join(&self, netlink: &Handle, bridge: u32) -> Result<(), Cause> {
        let port = LinkUnspec::new_with_index(self.index)
            .controller(bridge)
            .build();
        netlink.link().set(port).execute().await?;
        if self.hairpin {
            bridge::set_hairpin(netlink, self.index).await?;
        }
        Ok(())
    }

    async fn reserve(&self, netlink: &Handle) -> Result<(), Error> {
        let Some(bridge) = self.bridge_index.filter(|_| self.reserves) else {
            return Ok(());
        };
        match reservation::reserve(netlink, bridge, Ports::Only(&[self.index])).await {
            // The bridge is gone.
            Err(cause) if cause.is(Errno::NODEV) => Ok(()),
            reserved => reserved.map_err(Error::list("addresses of bridges")),
        }
    }
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// A program of the classic BPF that passes notices about the ports' bridges and the
/// ports in them alone; and while a bridge is gone, all about links.
fn filter(ports: &[Port]) -> Vec<SockFilter> {
    // Netlink's numbers are in the byte order of the machine, but the program loads
    // them in network byte order.
    let in_program = |word: u32| u32::from_be_bytes(word.to_ne_bytes());
    let kind = |kind: u16| u32::from(u16::from_be_bytes(kind.to_ne_bytes()));
    let changed = match ports.iter().all(|port| port.bridge_index.is_some()) {
        true => 0,
        false => u32::MAX,
    };
    let mut program = vec![
        SockFilter::new(LOAD_HALF, 0, 0, TYPE_AT),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, kind(LINK_CHANGED)),
        SockFilter::new(RETURN, 0, 0, changed),
        SockFilter::new(JUMP_IF_EQUAL, 0, 7, kind(LINK_REMOVED)),
        // The bridge that the port was in.
        SockFilter::new(LOAD_X, 0, 0, MASTER),
        SockFilter::new(LOAD, 0, 0, ATTRIBUTES_AT),
        SockFilter::new(LOAD_WORD, 0, 0, FIND_ATTRIBUTE),
        SockFilter::new(JUMP_IF_EQUAL, 3, 0, 0),
        SockFilter::new(COPY_TO_X, 0, 0, 0),
        SockFilter::new(LOAD_WORD_AT_X, 0, 0, VALUE_AT),
        SockFilter::new(JUMP, 0, 0, 1),
        // The link itself, or whose address has changed.
        SockFilter::new(LOAD_WORD, 0, 0, INDEX_AT),
    ];
    for bridge in ports.iter().filter_map(|port| port.bridge_index) {
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, in_program(bridge)));
        program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    }
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program
}

impl AsFd for BridgeWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
