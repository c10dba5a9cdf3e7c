//! Notices changes of the addresses in bridges, which containers must not take: a
//! bridge often has none before its first container is there, as with DHCP,
//! link-local addresses and the zones that systemd-networkd knows. A container's are
//! free again when its port is gone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

use crate::link::reservation::Ports;
use crate::link::{self, netlink, reservation};
use crate::{Error, Step};

/// `RTNLGRP_LINK`, `RTNLGRP_IPV4_IFADDR` and `RTNLGRP_IPV6_IFADDR` of
/// `linux/rtnetlink.h`.
const GROUPS: [u32; 3] = [1, 5, 9];

/// `RTM_DELLINK` and `IFLA_MASTER` of `linux/rtnetlink.h` and `linux/if_link.h`.
const LINK_REMOVED: u16 = 17;
const MASTER: u32 = 10;

/// Offset of `nlmsg_type` of `struct nlmsghdr`.
const TYPE_AT: u32 = 4;
/// Offset of `ifa_index` of `struct ifaddrmsg` behind `struct nlmsghdr`.
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
/// after a change of the addresses of one of them, and after a port of one is gone.
#[derive(Debug)]
pub struct AddressWatch {
    socket: Socket,
    /// Indexes of ports and their bridges.
    ports: Vec<(u32, u32)>,
}

impl AddressWatch {
    /// Watches the bridges in which `plan`, which has been applied, has reserved
    /// addresses, and reserves those that they have got meanwhile; `None` if there is
    /// no such bridge.
    ///
    /// # Errors
    ///
    /// [`Error::Prepare`], and those of [`AddressWatch::renew`].
    pub fn open(plan: &[Step]) -> Result<Option<Self>, Error> {
        let wanted: Vec<_> = plan
            .iter()
            .filter_map(|step| match step {
                Step::ReserveAddresses { link, .. } => Some(link),
                _ => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(None);
        }
        let ports = netlink::block_on(async {
            let netlink = netlink::connect()?;
            let mut ports = Vec::new();
            for port in wanted {
                let found = link::find(&netlink, port).await;
                let found = found.map_err(Error::link("look up", port))?;
                // It is gone if the container has ended.
                let index = found.as_ref().map(|link| link.header.index);
                let bridge = found.as_ref().and_then(link::master_of);
                ports.extend(index.zip(bridge));
            }
            Ok(ports)
        })?;
        let socket = open(&ports).map_err(|error| Error::Prepare {
            operation: "watch the addresses of bridges",
            cause: error.into(),
        })?;
        let watch = Self { socket, ports };
        watch.reserve()?;
        Ok(Some(watch))
    }

    /// Reserves the addresses that the bridges have now. Does not wait.
    ///
    /// # Errors
    ///
    /// [`Error::List`] if the kernel refuses, [`Error::Prepare`] if it cannot be
    /// asked.
    pub fn renew(&self) -> Result<(), Error> {
        let mut buffer = Vec::with_capacity(4096);
        loop {
            buffer.clear();
            match self.socket.recv(&mut buffer, 0) {
                Ok(_) => {}
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::AGAIN) => return self.reserve(),
                    // There were more changes than fit into the socket's buffer
                    // (netlink(7)).
                    Some(Errno::INTR | Errno::NOBUFS) => {}
                    _ => return Err(Error::list("addresses")(error.into())),
                },
            }
        }
    }

    fn reserve(&self) -> Result<(), Error> {
        netlink::block_on(async {
            let netlink = netlink::connect()?;
            for (port, bridge) in &self.ports {
                let reserved = reservation::reserve(&netlink, *bridge, Ports::Only(&[*port])).await;
                match reserved {
                    // The bridge is gone.
                    Err(cause) if cause.is(Errno::NODEV) => {}
                    reserved => reserved.map_err(Error::list("addresses of bridges"))?,
                }
            }
            Ok(())
        })
    }
}

fn open(ports: &[(u32, u32)]) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    SockRef::from(&socket).attach_filter(&filter(ports))?;
    socket.bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        socket.add_membership(group)?;
    }
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// A program of the classic BPF that passes notices about these bridges and their
/// ports alone.
fn filter(ports: &[(u32, u32)]) -> Vec<SockFilter> {
    // Netlink's numbers are in the byte order of the machine, but the program loads
    // them in network byte order.
    let removed = u32::from(u16::from_be_bytes(LINK_REMOVED.to_ne_bytes()));
    let mut program = vec![
        SockFilter::new(LOAD_HALF, 0, 0, TYPE_AT),
        SockFilter::new(JUMP_IF_EQUAL, 0, 8, removed),
        // The bridge that the port was in.
        SockFilter::new(LOAD_X, 0, 0, MASTER),
        SockFilter::new(LOAD, 0, 0, ATTRIBUTES_AT),
        SockFilter::new(LOAD_WORD, 0, 0, FIND_ATTRIBUTE),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, 0),
        SockFilter::new(RETURN, 0, 0, 0),
        SockFilter::new(COPY_TO_X, 0, 0, 0),
        SockFilter::new(LOAD_WORD_AT_X, 0, 0, VALUE_AT),
        SockFilter::new(JUMP, 0, 0, 1),
        // The link whose address has changed.
        SockFilter::new(LOAD_WORD, 0, 0, INDEX_AT),
    ];
    for (_, bridge) in ports {
        let index = u32::from_be_bytes(bridge.to_ne_bytes());
        program.push(SockFilter::new(JUMP_IF_EQUAL, 0, 1, index));
        program.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    }
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program
}

impl AsFd for AddressWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
