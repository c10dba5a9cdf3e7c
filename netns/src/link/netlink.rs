//! rtnetlink(7) sockets in the host's and the container's namespace.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process;

use rtnetlink::Handle;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::runtime;

use crate::Error;

/// Runs `work` to its end on the calling thread, and closes the sockets that it
/// opened.
pub fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(|error| prepare("wait for the kernel's answers", error))?
        .block_on(work)
}

/// A socket in the namespace of the calling thread. Only inside [`block_on`].
pub fn connect() -> Result<Handle, Error> {
    let (connection, handle, _) =
        rtnetlink::new_connection().map_err(|error| prepare("open a netlink socket", error))?;
    tokio::spawn(connection);
    Ok(handle)
}

/// A socket in the namespace `netns`. Only inside [`block_on`].
pub fn connect_in(netns: BorrowedFd<'_>) -> Result<Handle, Error> {
    // A socket stays in the namespace that it was opened in
    // (network_namespaces(7)), so the thread need only be there to open it.
    let _visit = Visit::begin(netns)?;
    connect()
}

/// The namespace of the calling thread.
pub fn own_namespace() -> Result<File, Error> {
    File::open("/proc/thread-self/ns/net")
        .map_err(|error| prepare("open the network namespace of this thread", error))
}

/// Keeps the calling thread in another network namespace until it is dropped.
struct Visit {
    home: File,
}

impl Visit {
    fn begin(netns: BorrowedFd<'_>) -> Result<Self, Error> {
        let home = own_namespace()?;
        move_into_link_name_space(netns, Some(LinkNameSpaceType::Network))
            .map_err(|errno| prepare("enter the container's network namespace", errno.into()))?;
        Ok(Self { home })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let home = move_into_link_name_space(self.home.as_fd(), Some(LinkNameSpaceType::Network));
        if let Err(errno) = home {
            // This process would go on in the wrong network.
            eprintln!("cannot return from the container's network namespace: {errno}");
            process::abort();
        }
    }
}

fn prepare(operation: &'static str, error: io::Error) -> Error {
    Error::Prepare {
        operation,
        cause: error.into(),
    }
}
