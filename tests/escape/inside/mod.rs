//! The attacks by programs inside, by what they abuse.

use crate::attack::Attack;

pub use processes::watch;

mod calls;
mod devices;
mod files;
mod ipc;
mod kernel;
mod processes;
mod settings;

/// All of them.
pub const ATTACKS: &[&[Attack]] = &[
    settings::ATTACKS,
    calls::ATTACKS,
    processes::ATTACKS,
    ipc::ATTACKS,
    devices::ATTACKS,
    files::ATTACKS,
];
