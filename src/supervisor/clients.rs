//! Who is connected to a supervisor, and what each may ask.
//!
//! Root's commands come by a socket that only root can reach, and may ask for
//! anything. By the other one comes everybody on the host: they hear about the
//! container's state, and may ask for a login prompt.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags};

use crate::container::name::ContainerName;
use crate::control::{Connection, Event, Listener, PublicRequest, Request};

/// How much a user of the host may have at once, be it connections or prompts.
/// What they cost is root's and the container's.
const MOST_OF_A_USER: usize = 16;

/// How much all of them may have. A prompt takes two descriptors; so that is at
/// most half of what a process usually may (`DefaultLimitNOFILE` of `man 5
/// systemd-system.conf`).
const MOST_OF_ALL: usize = 256;

/// All connections, and the processes that serve them.
#[derive(Debug, Default)]
pub struct Clients {
    connected: Vec<Client>,
    prompts: Vec<Prompt>,
}

#[derive(Debug)]
struct Client {
    connection: Connection,
    /// Who came by the socket for everybody.
    visitor: Option<u32>,
}

/// A process of ours that looks after a login prompt.
#[derive(Debug)]
struct Prompt {
    visitor: u32,
    process: Child,
    pidfd: OwnedFd,
}

/// Which of them there is something to do for.
#[derive(Debug, Default)]
pub struct Ready {
    clients: Vec<usize>,
    prompts: Vec<usize>,
}

impl Clients {
    /// Takes whoever waits at root's socket. The event is the container's state,
    /// and comes with handles on its init.
    pub fn accept(
        &mut self,
        listener: &Listener,
        event: &Event,
        handles: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        while let Some(connection) = listener.accept()? {
            if connection.send_event(event, handles).is_ok() {
                let visitor = None;
                self.connected.push(Client {
                    connection,
                    visitor,
                });
            }
        }
        Ok(())
    }

    /// Takes whoever waits at everybody's socket.
    pub fn accept_users(&mut self, listener: &Listener, event: &Event) -> io::Result<()> {
        while let Some(connection) = listener.accept()? {
            let visitor = connection.peer()?;
            if let Err(why) = self.has_room_for(visitor) {
                let _ = connection.send_event(&Event::failed(why), &[]);
            } else if connection.send_event(event, &[]).is_ok() {
                let visitor = Some(visitor);
                self.connected.push(Client {
                    connection,
                    visitor,
                });
            }
        }
        Ok(())
    }

    fn has_room_for(&self, visitor: u32) -> Result<(), String> {
        if visitor == ROOT {
            return Ok(());
        }
        let connections = self.connected.iter().filter_map(|client| client.visitor);
        let prompts = self.prompts.iter().map(|prompt| prompt.visitor);
        let visitors: Vec<_> = connections.chain(prompts).collect();
        if visitors.iter().filter(|other| **other == visitor).count() >= MOST_OF_A_USER {
            return Err(format!("user {visitor} has too many connections already"));
        }
        if visitors.len() >= MOST_OF_ALL {
            return Err("the users of this host have too many connections already".to_owned());
        }
        Ok(())
    }

    /// What to poll for; the answers go to [`Clients::ready`].
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

    /// Sorts the answers to the wishes.
    pub fn ready(&self, answers: &[PollFd<'_>]) -> Ready {
        let (clients, prompts) = answers.split_at(self.connected.len());
        let indices = |answers: &[PollFd<'_>]| {
            let answers = answers.iter().enumerate();
            let ready = answers.filter(|(_, fd)| !fd.revents().is_empty());
            ready.map(|(index, _)| index).collect()
        };
        Ready {
            clients: indices(clients),
            prompts: indices(prompts),
        }
    }

    /// Reads what is asked for. Root's requests are returned; those for a prompt
    /// are looked after here.
    pub fn read(&mut self, ready: Ready, container: &ContainerName) -> Vec<Request> {
        // From the end: what takes a removed one's place has been looked at.
        for index in ready.prompts.into_iter().rev() {
            let mut ended = self.prompts.swap_remove(index);
            let _ = ended.process.wait();
        }
        let mut requests = Vec::new();
        for index in ready.clients.into_iter().rev() {
            let Client {
                connection,
                visitor,
            } = &self.connected[index];
            let stays = match visitor {
                None => match connection.next_request() {
                    Ok(Some(request)) => {
                        requests.push(request);
                        true
                    }
                    // It hung up, or asks for what is not to be had there.
                    Ok(None) | Err(_) => false,
                },
                Some(visitor) => {
                    if let Ok(Some(PublicRequest::Login)) = connection.next_request() {
                        let prompt = open_prompt(container, connection, *visitor);
                        self.prompts.extend(prompt);
                    }
                    // The prompt's process talks to its user from here on.
                    false
                }
            };
            if !stays {
                self.connected.swap_remove(index);
            }
        }
        requests
    }

    /// Tells everybody. Who does not listen any more, or not fast enough, is
    /// left alone. The handles are for root alone.
    pub fn announce(&mut self, event: &Event, handles: &[BorrowedFd<'_>]) {
        self.connected.retain(|client| {
            let handles = if client.visitor.is_none() {
                handles
            } else {
                &[]
            };
            client.connection.send_event(event, handles).is_ok()
        });
    }
}

const ROOT: u32 = 0;

/// A prompt for whoever is connected, or they are told why there is none.
fn open_prompt(container: &ContainerName, connection: &Connection, visitor: u32) -> Option<Prompt> {
    match serve_login(container, connection, visitor) {
        Ok(prompt) => Some(prompt),
        Err(error) => {
            let event = Event::failed(format!("{error:#}"));
            let _ = connection.send_event(&event, &[]);
            None
        }
    }
}

/// A process of its own, because opening a prompt waits for the container, whose
/// processes may take their time, and closing it for the user.
fn serve_login(container: &ContainerName, connection: &Connection, visitor: u32) -> Result<Prompt> {
    let connection = connection.as_fd().try_clone_to_owned();
    // This program even if another has taken its place since.
    let process = Command::new("/proc/self/exe")
        .arg0("nixos-container")
        .args(["serve-login", container.as_str()])
        .stdin(connection.context("cannot hand on a connection")?)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start a process for the prompt")?;
    let pidfd = runtime::sys::pidfd::open(process.id().cast_signed());
    Ok(Prompt {
        visitor,
        pidfd: pidfd.context("cannot watch the process for the prompt")?,
        process,
    })
}
