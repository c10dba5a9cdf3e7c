//! The clients of a supervisor and their rights.
//!
//! Root's commands connect to a socket that only root can reach, and may send every
//! request. Every user of the host may connect to the public socket: these clients
//! receive the container's state, and may request a login prompt.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use runtime::sys::untrusted_socket::Closers;
use rustix::event::{PollFd, PollFlags};

use super::entered::Entered;
use crate::container::name::ContainerName;
use crate::control::{ClientConnection, Event, Listener, PublicRequest, Request};

/// Connections and prompts that one user of the host may have at once, because root
/// and the container pay for them.
const MAX_PER_USER: usize = 16;

/// Connections and prompts that all users of the host together may have. A prompt
/// takes two descriptors, so they are at most half of a process' usual limit
/// (`DefaultLimitNOFILE` of `man 5 systemd-system.conf`).
const MAX_OF_ALL_USERS: usize = 256;

/// All connections, and the processes that serve them.
#[derive(Debug, Default)]
pub struct Clients {
    connected: Vec<Client>,
    prompts: Vec<Prompt>,
}

#[derive(Debug)]
struct Client {
    connection: ClientConnection,
    /// Uid of a client of the public socket; `None` for one of root's socket.
    user: Option<u32>,
    /// The process that it has started in the container. Such a client does not read
    /// events.
    entered: Option<Entered>,
}

impl Client {
    fn new(connection: ClientConnection, user: Option<u32>) -> Self {
        Self {
            connection,
            user,
            entered: None,
        }
    }
}

/// A `serve-login` process.
#[derive(Debug)]
struct Prompt {
    /// Uid of the user that it serves.
    user: u32,
    /// The process has a copy. This one is the last to be closed.
    _connection: ClientConnection,
    process: Child,
    pidfd: OwnedFd,
}

/// Indices of the clients that have sent something, and of the prompts that have
/// ended.
#[derive(Debug, Default)]
pub struct Ready {
    clients: Vec<usize>,
    prompts: Vec<usize>,
}

impl Clients {
    /// Accepts the connections that wait at root's socket, and sends them the
    /// container's state with its descriptors.
    pub fn accept_root(
        &mut self,
        listener: &Listener,
        event: &Event,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        while let Some(connection) = listener.accept()? {
            if connection.send_event(event, descriptors).is_ok() {
                self.connected.push(Client::new(connection, None));
            }
        }
        Ok(())
    }

    /// Accepts connections that wait at the public socket, and sends them the
    /// container's state, or why there are too many. Not all connections, because one
    /// user can make them as fast as they are refused.
    pub fn accept_users(
        &mut self,
        listener: &Listener,
        event: &Event,
        closers: &Closers,
    ) -> io::Result<()> {
        for _ in 0..MAX_PER_USER {
            if !closers.are_free() {
                break;
            }
            let Some(connection) = listener.accept()? else {
                break;
            };
            let uid = connection.peer_uid()?;
            if let Err(why) = self.check_limits(uid) {
                let _ = connection.send_event(&Event::failed(why), &[]);
            } else if connection.send_event(event, &[]).is_ok() {
                self.connected.push(Client::new(connection, Some(uid)));
            }
        }
        Ok(())
    }

    /// Whether a user may connect once more.
    fn check_limits(&self, uid: u32) -> Result<(), String> {
        if uid == ROOT {
            return Ok(());
        }
        let connections = self.connected.iter().filter_map(|client| client.user);
        let prompts = self.prompts.iter().map(|prompt| prompt.user);
        let users: Vec<_> = connections.chain(prompts).collect();
        if users.iter().filter(|user| **user == uid).count() >= MAX_PER_USER {
            return Err(format!("user {uid} has too many connections already"));
        }
        if users.len() >= MAX_OF_ALL_USERS {
            return Err("the users of this host have too many connections already".to_owned());
        }
        Ok(())
    }

    /// The descriptors to poll. Their results go to [`Clients::ready`].
    pub fn poll_fds(&self) -> impl Iterator<Item = PollFd<'_>> {
        let clients = self
            .connected
            .iter()
            .map(|client| client.connection.as_fd());
        let prompts = self.prompts.iter().map(|prompt| prompt.pidfd.as_fd());
        clients
            .chain(prompts)
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN))
    }

    /// Sorts the results for the descriptors of [`Clients::poll_fds`].
    pub fn ready(&self, polled: &[PollFd<'_>]) -> Ready {
        let (clients, prompts) = polled.split_at(self.connected.len());
        let indices = |polled: &[PollFd<'_>]| {
            let polled = polled.iter().enumerate();
            let ready = polled.filter(|(_, fd)| !fd.revents().is_empty());
            ready.map(|(index, _)| index).collect()
        };
        Ready {
            clients: indices(clients),
            prompts: indices(prompts),
        }
    }

    /// Reads the requests of the clients that are ready. Returns root's requests about
    /// the container, and answers those for a login prompt. `init` is the container's.
    pub fn read(&mut self, ready: Ready, container: &ContainerName, init: i32) -> Vec<Request> {
        // From the end: the client that moves to a removed one's index has been
        // handled.
        for index in ready.prompts.into_iter().rev() {
            let mut ended = self.prompts.swap_remove(index);
            let _ = ended.process.wait();
        }
        let mut requests = Vec::new();
        for index in ready.clients.into_iter().rev() {
            let client = &mut self.connected[index];
            if client.user.is_none()
                && let Ok(Some(request)) = client.connection.next_request()
            {
                match request {
                    Request::Entered { pid } => {
                        // It may have ended already.
                        client.entered = Entered::find(pid, init).unwrap_or(None);
                    }
                    request => requests.push(request),
                }
                continue;
            }
            // It closed the connection, sent something else, or gets a prompt.
            let Client {
                connection,
                user,
                entered,
            } = self.connected.swap_remove(index);
            entered.into_iter().for_each(Entered::hang_up);
            if let Some(uid) = user
                && let Ok(Some(PublicRequest::Login)) = connection.next_request()
            {
                self.prompts.extend(open_prompt(container, connection, uid));
            }
        }
        requests
    }

    /// Sends an event to all clients, with the descriptors to root's. A client that
    /// does not read is disconnected.
    pub fn announce(&mut self, event: &Event, descriptors: &[BorrowedFd<'_>]) {
        self.connected.retain(|client| {
            if client.entered.is_some() {
                return true;
            }
            let descriptors = match client.user {
                None => descriptors,
                Some(_) => &[],
            };
            client.connection.send_event(event, descriptors).is_ok()
        });
    }

    /// Sends an event that only root may read, to root's clients.
    pub fn announce_to_root(&mut self, event: &Event) {
        let roots = self.connected.iter().filter(|client| client.user.is_none());
        for client in roots {
            let _ = client.connection.send_event(event, &[]);
        }
    }
}

/// Uid of root.
const ROOT: u32 = 0;

/// Starts a prompt for a client, or sends it the reason why there is none.
fn open_prompt(
    container: &ContainerName,
    connection: ClientConnection,
    user: u32,
) -> Option<Prompt> {
    match serve_login(container, &connection) {
        Ok((process, pidfd)) => Some(Prompt {
            user,
            _connection: connection,
            process,
            pidfd,
        }),
        Err(error) => {
            let event = Event::failed(format!("{error:#}"));
            let _ = connection.send_event(&event, &[]);
            None
        }
    }
}

/// Starts a process that serves a login prompt. The supervisor cannot do so itself:
/// opening a prompt waits for the container, and closing one for the user.
fn serve_login(
    container: &ContainerName,
    connection: &ClientConnection,
) -> Result<(Child, OwnedFd)> {
    let connection = connection.as_fd().try_clone_to_owned();
    // This program, even if its file has been replaced since.
    let process = Command::new("/proc/self/exe")
        .arg0("nixos-container")
        .args(["serve-login", container.as_str()])
        .stdin(connection.context("cannot duplicate the connection")?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a process for the prompt")?;
    let pidfd = runtime::sys::pidfd::open(process.id().cast_signed());
    Ok((
        process,
        pidfd.context("cannot watch the process for the prompt")?,
    ))
}
