//! Notices when another program removes the rules.
//!
//! `nft flush ruleset`, the first line of many hosts' configurations, removes all
//! rules. Then nothing is forwarded any more, and where `route_localnet` is set,
//! nothing guards the host's loopback.

use std::os::fd::{AsFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use rustix::io::Errno;

use super::Error;
use super::nft::TABLE;
use super::nft::nfnetlink::{self, DATAGRAM_MAX, NFTABLES, find_text};
use super::nft::uapi::{NFT_MSG_DELTABLE, NFTA_TABLE};

mod filter;

/// `NFNLGRP_NFTABLES` of `linux/netfilter/nfnetlink.h`: all changes of tables.
const CHANGES: u32 = 7;

/// Notices when the rules of all containers are removed at once, in the network
/// namespace of the thread that opened it. The socket can be readable after any
/// change of rules, but not after a start or an end of another container while
/// the table stays.
#[derive(Debug)]
pub struct Watch(Socket);

impl Watch {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`]
    pub fn open() -> Result<Self, Error> {
        let open = || {
            let mut socket = Socket::new(NETLINK_NETFILTER)?;
            filter::attach(&socket)?;
            socket.bind(&SocketAddr::new(0, 0))?;
            socket.add_membership(CHANGES)?;
            socket.set_non_blocking(true)?;
            Ok(Self(socket))
        };
        open().map_err(|source| Error::Netlink {
            operation: "watch the rules of forwarded ports and NAT",
            source,
        })
    }

    /// Whether the rules were removed since the last call, or may have been. Does
    /// not wait. The rules may exist again by now: see
    /// [`Firewall::has`](super::Firewall::has).
    ///
    /// # Errors
    ///
    /// [`Error::Netlink`]
    pub fn rules_are_lost(&self) -> Result<bool, Error> {
        let mut lost = false;
        let mut buffer = Vec::with_capacity(DATAGRAM_MAX);
        loop {
            buffer.clear();
            match self.0.recv(&mut buffer, 0) {
                Ok(_) => lost |= nfnetlink::messages(&buffer).any(|message| is_loss(&message)),
                Err(source) => match Errno::from_io_error(&source) {
                    Some(Errno::AGAIN) => return Ok(lost),
                    Some(Errno::INTR) => {}
                    // There were more changes than fit into the socket's buffer
                    // (netlink(7)).
                    Some(Errno::NOBUFS) => lost = true,
                    _ => {
                        let operation = "read changes of the host's rules";
                        return Err(Error::Netlink { operation, source });
                    }
                },
            }
        }
    }
}

fn is_loss(message: &nfnetlink::Message<'_>) -> bool {
    message.message_type() == nfnetlink::kind(NFTABLES, NFT_MSG_DELTABLE)
        && find_text(nfnetlink::attributes_of(message), NFTA_TABLE).as_deref() == Some(TABLE)
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
