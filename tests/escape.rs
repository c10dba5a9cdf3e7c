//! Attempts to get out of a container. Each succeeds against a runtime that has
//! been weakened on purpose, so that the attempt is known to be one, and fails
//! against the runtime as it is, or does what `docs/attacks.md` says.
//!
//! The attacks of programs inside are rows of [`attack::ATTACKS`], and are tried
//! all together on a container of each kind. What needs more than a program inside
//! has a module and tests of its own.
//!
//! This test program plays more than one part: it is put into the container's root,
//! too, and attacks from there, and it is the weakened runtime (`roles`).

mod common;

#[path = "escape/attack.rs"]
mod attack;
#[path = "escape/binds.rs"]
mod binds;
#[path = "escape/canary.rs"]
mod canary;
#[path = "escape/descriptors.rs"]
mod descriptors;
#[path = "escape/entering.rs"]
mod entering;
#[path = "escape/evaluation.rs"]
mod evaluation;
#[path = "escape/frozen.rs"]
mod frozen;
#[path = "escape/inside/mod.rs"]
mod inside;
#[path = "escape/kernel.rs"]
mod kernel;
#[path = "escape/kinds.rs"]
mod kinds;
#[path = "escape/network.rs"]
mod network;
#[path = "escape/nix.rs"]
mod nix;
#[path = "escape/peers.rs"]
mod peers;
#[path = "escape/planted.rs"]
mod planted;
#[path = "escape/program.rs"]
mod program;
#[path = "escape/resources.rs"]
mod resources;
#[path = "escape/roles.rs"]
mod roles;
#[path = "escape/sequences.rs"]
mod sequences;
#[path = "escape/stage.rs"]
mod stage;
#[path = "escape/table.rs"]
mod table;
#[path = "escape/weakened.rs"]
mod weakened;

use common::Host;

/// Compiles a program in C, and puts it into the root directory of a container. It is
/// static: the container has libraries of its own.
fn plant(host: &Host, name: &str, path: &str, source: &str) {
    let root = host.place("STATE_DIR").join(name);
    host.shell(&format!(
        "cc -static -O1 -x c -o {}{path} - <<'END'\n{source}\nEND",
        root.display()
    ));
}
