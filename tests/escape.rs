//! Attempts to get out of a container, or at what all containers share. Each would
//! succeed against a runtime without the measure that it names.

mod common;

#[path = "escape/binds.rs"]
mod binds;
#[path = "escape/kernel.rs"]
mod kernel;

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
