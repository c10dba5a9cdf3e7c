//! A host with a canary, and roots with the attacker in them.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use crate::attack::Outcome;
use crate::canary::{DROP, LINK, NAME, OPEN_SECRET, SECRET, SHARED};
use crate::common::{Host, succeed};

/// The attacker, as containers run it: through an interpreter of programs that does
/// not look for libraries in the container's own directories.
pub const ATTACKER: [&str; 5] = [
    "/escape/interpreter",
    "--library-path",
    "/escape",
    "/escape/program",
    "--as",
];

/// A host with a canary.
pub struct Stage {
    pub host: Host,
    /// What only the host has.
    pub secret: String,
    canary: Child,
}

impl Stage {
    /// A host with cgroup2 alone and a canary on it.
    pub fn new() -> Self {
        Self::on(Host::new())
    }

    /// Puts a canary on a host.
    pub fn on(host: Host) -> Self {
        let secret = secret();
        host.shell(&format!(
            "mkdir -p {SHARED} {DROP} /run/throwaway/canary/binfmt
             chmod 755 /run/throwaway /run/throwaway/canary {SHARED}
             chmod 1777 {DROP}
             mount --bind {SHARED} {SHARED}
             mount --make-shared {SHARED}
             mkdir {SHARED}/mounted
             touch {SHARED}/file; chmod 666 {SHARED}/file
             echo {secret} >{OPEN_SECRET}
             (umask 077; echo {secret} >{SECRET})
             mount -t binfmt_misc binfmt_misc /run/throwaway/canary/binfmt || true
             ip link add {LINK} type veth peer name canary1
             mkdir /sys/fs/cgroup/{NAME} 2>/dev/null || mkdir /sys/fs/cgroup/unified/{NAME}"
        ));
        let mut canary = host.command(program());
        canary.args(["--as", "canary", &secret]);
        let canary = canary.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut canary = canary.expect("it runs");
        let output = BufReader::new(canary.stdout.as_mut().expect("piped"));
        let lines = output.lines().map(|line| line.expect("readable"));
        let facts: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
        assert!(facts.len() > 4, "the canary did not start");
        host.shell(&format!(
            "cat >/run/throwaway/canary/description <<'END'\n{}\nEND",
            facts.join("\n")
        ));
        Self {
            host,
            secret,
            canary,
        }
    }

    /// Puts the attacker, what it needs to run and what it may know into a root
    /// directory.
    pub fn arm(&self, root: &str) {
        self.host.shell(&format!(
            "mkdir -p {root}/escape {root}/tmp
             strip -o {root}/escape/program {program}
             cp $(ldd {program} | grep -o '/[^ ]*') {root}/escape
             mv {root}/escape/ld-linux-* {root}/escape/interpreter
             cp /run/throwaway/canary/description {root}/escape/canary
             # Links in the place of what a runtime makes or mounts over.
             mkdir -p {root}/run/host/inaccessible {root}/dev
             ln -s /proc/keys {root}/run/host/inaccessible/reg
             ln -s /escape/target {root}/dev/zero
             touch {root}/escape/target",
            program = program()
        ));
    }

    /// What the attacks came to on the host itself, which stops none of them: the
    /// kernel of this machine lacks the interfaces of those that fail.
    pub fn on_the_host_itself(&self) -> Vec<Outcome> {
        Outcome::read(&succeed(
            self.host.command(program()).args(["--as", "attacker"]),
        ))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.canary.stdin.take());
        let _ = self.canary.wait();
    }
}

/// This program.
pub fn program() -> &'static str {
    static PROGRAM: OnceLock<String> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let path = std::env::current_exe().expect("it has a path");
        path.to_str().expect("of UTF-8").to_owned()
    })
}

/// A word that no attacker can guess.
fn secret() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").expect("readable");
    format!("secret-{}", id.trim())
}
