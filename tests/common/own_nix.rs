//! A host with a Nix store of its own, which its garbage collector may empty.

use super::{Host, minimal_system};

/// Where the host's Nix looks for the profile of a container `foo`.
pub const PROFILES: &str = "/nix/var/nix/profiles/per-container/foo";

/// Where it looks for its other roots.
pub const GCROOTS: &str = "/nix/var/nix/gcroots/per-container/foo";

impl Host {
    /// A host whose Nix has only the closure of the minimal system in its store, with a
    /// daemon. Containers have their usual places.
    pub fn with_own_nix() -> Self {
        let host = Self::new();
        host.shell(&format!(
            "set -- {}\n{}",
            minimal_system(),
            include_str!("own_nix.sh")
        ));
        host
    }

    /// The same, with a container `foo` that runs, with these lines of configuration.
    pub fn with_own_nix_and_foo(lines: &str) -> Self {
        let host = Self::with_own_nix();
        host.create("foo");
        host.append_conf("foo", lines);
        host.run(&["start", "foo"]);
        host
    }

    /// Collects the garbage of this host's Nix, and removes all old generations.
    pub fn collect_garbage(&self) {
        self.shell("timeout --signal=KILL 30 nix-collect-garbage --delete-old >/dev/null 2>&1");
    }

    /// Whether there is something at this path of the host.
    pub fn has(&self, path: &str) -> bool {
        self.shell(&format!("[ ! -e {path} ] || echo yes")) == "yes\n"
    }
}
