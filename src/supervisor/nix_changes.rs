//! Changes of the profile and of the roots that a running container makes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use runtime::sys::dnotify;

use super::signals::DirectorySignal;
use crate::container::Container;
use crate::nix::shared::{self, OwnChanges, Seen};

/// The part of the time in which changes are taken over, at most: a container may make
/// changes all the time, and the host pays.
const SHARE: u32 = 10;

/// The shortest time from one taking over to the next.
const PAUSE: Duration = Duration::from_millis(50);

/// Takes over the changes that are made inside while the container runs.
pub struct NixChanges<'a> {
    container: &'a Container,
    signal: &'a DirectorySignal,
    /// The directories whose next change sends the signal, while they are open.
    watched: Vec<OwnedFd>,
    seen: Seen,
    /// When changes are taken over; `None` if there are none.
    due: Option<Instant>,
    /// Not before this.
    earliest: Instant,
}

impl<'a> NixChanges<'a> {
    /// The changes of a container that has just been started; some may have been made.
    pub fn new(
        container: &'a Container,
        own_changes: OwnChanges,
        signal: &'a DirectorySignal,
    ) -> Self {
        let now = Instant::now();
        Self {
            container,
            signal,
            watched: Vec::new(),
            seen: Seen::default(),
            due: (own_changes == OwnChanges::Count).then_some(now),
            earliest: now,
        }
    }

    /// When there is something to take over.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes that the signal has come.
    pub fn note(&mut self) {
        self.signal.clear();
        self.due = Some(self.earliest);
    }

    /// Takes over the changes, if it is time.
    pub fn take_over(&mut self) {
        let began = Instant::now();
        if self.due.is_none_or(|due| due > began) {
            return;
        }
        self.due = None;
        // The kernel tells the first change of a directory only, so that a container
        // which makes many does not keep this process busy.
        let mut watch_problem = None;
        let watch = |directory: BorrowedFd<'_>| {
            watch_problem = watch_problem
                .take()
                .or(dnotify::signal_next_change(directory).err());
        };
        match shared::take_over(self.container, Some(&mut self.seen), watch) {
            Ok(Some(taken)) => {
                self.watched = taken.directories;
                for problem in taken.problems {
                    log::warn!("{problem:#}");
                }
            }
            // A command does the same, perhaps before the latest change.
            Ok(None) => self.due = Some(began + PAUSE),
            Err(error) => log::warn!("{error:#}"),
        }
        if let Some(error) = watch_problem {
            log::warn!("cannot watch the profiles of {}: {error}", self.container);
        }
        self.earliest = Instant::now() + (began.elapsed() * SHARE).max(PAUSE);
    }
}

impl AsFd for NixChanges<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.signal.as_fd()
    }
}
