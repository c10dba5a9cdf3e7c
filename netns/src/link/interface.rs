//! Moves interfaces of the host into a container and back.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_route::link::LinkAttribute;
use rtnetlink::{Handle, LinkUnspec};
use rustix::io::Errno;

use super::settings::{self, Settings};
use crate::{Cause, Error, link};

/// Moves an interface into `netns` under the name `name`. It keeps its index.
pub async fn move_in(
    host: &Handle,
    interface: &str,
    name: &str,
    netns: BorrowedFd<'_>,
) -> Result<(), Cause> {
    let index = link::index(host, interface).await?;
    let keep = i32::try_from(index).map_err(io::Error::other)?;
    let message = LinkUnspec::new_with_index(index)
        .setns_by_fd(netns.as_raw_fd())
        .append_extra_attribute(LinkAttribute::NewIfIndex(keep))
        .name(name)
        .build();
    Ok(host.link().set(message).execute().await?)
}

/// Sockets in both namespaces, for giving interfaces back.
pub struct Sockets<'fd> {
    /// A socket in the host's namespace.
    pub host: Handle,
    /// The host's namespace.
    pub host_netns: BorrowedFd<'fd>,
    /// A socket in the namespace that the container had.
    pub container: Option<Handle>,
}

impl Sockets<'_> {
    /// Moves an interface back to the host and restores its settings. A second
    /// call finds nothing to do.
    ///
    /// Returns the settings that could not be restored.
    ///
    /// # Errors
    ///
    /// [`Error::GiveBack`] if it stays in the container's namespace.
    pub async fn give_back(&self, was: &Settings) -> Result<Vec<Error>, Error> {
        let give_back_error = |cause| Error::GiveBack {
            interface: was.name.clone(),
            cause,
        };
        let moved = self.move_back(was).await.map_err(give_back_error)?;
        let found = link::find(&self.host, &was.name).await;
        match found.map_err(give_back_error)? {
            Some(link) if moved || was.is_of(&link) => {
                Ok(settings::restore(&self.host, &link, was).await)
            }
            _ => Ok(vec![Error::Lost {
                interface: was.name.clone(),
            }]),
        }
    }

    /// Moves an interface to the host; `false` if it is not in the container's
    /// namespace.
    async fn move_back(&self, was: &Settings) -> Result<bool, Cause> {
        let Some(container) = &self.container else {
            return Ok(false);
        };
        let found = link::find_by_index(container, was.index).await?;
        // Otherwise the container created another link with its index.
        let Some(link) = found.filter(|link| was.is_of(link)) else {
            return Ok(false);
        };
        // The kernel would move it before it fails to rename it.
        if link::find(&self.host, &was.name).await?.is_some() {
            return Err(Errno::EXIST.into());
        }
        // The container may have added names that are taken on the host.
        let altnames = link::altnames_of(&link);
        if !altnames.is_empty() {
            let request = container.link().property_del(was.index);
            request.alt_ifname(&altnames).execute().await?;
        }
        let message = LinkUnspec::new_with_index(was.index)
            .setns_by_fd(self.host_netns.as_raw_fd())
            .name(was.name.as_str())
            .build();
        container.link().set(message).execute().await?;
        Ok(true)
    }
}
