//! The same attacks on other containers, for comparison.

use crate::attack::Outcome;
use crate::canary::{DROP, DROP_INSIDE, SHARED, SHARED_INSIDE, SHARED_TWICE};
use crate::common::Host;
use crate::stage::{ATTACKER, Stage};

/// What the attacks came to in a container of another program.
pub struct Peer {
    pub name: String,
    pub outcomes: Vec<Outcome>,
}

/// The variable with a directory that holds a Debian system, whose systemd-nspawn is
/// measured instead of the machine's.
const TREE: &str = "ESCAPE_NSPAWN_TREE";

/// Measures the peers that the machine has.
pub fn measure(stage: &Stage) -> Vec<Peer> {
    let users = "--private-users=pick --private-users-ownership=map";
    let peers = [
        nspawn(stage, "", ""),
        nspawn(stage, " -U", users),
        podman(stage),
    ];
    peers.into_iter().flatten().collect()
}

fn nspawn(stage: &Stage, name: &str, flags: &str) -> Option<Peer> {
    let program = match std::env::var(TREE) {
        Ok(tree) => format!(
            "{tree}/usr/lib64/ld-linux-x86-64.so.2 --argv0 systemd-nspawn --library-path \
             $(echo {tree}/usr/lib/*-linux-gnu):$(echo {tree}/usr/lib/*-linux-gnu/systemd) \
             {tree}/usr/bin/systemd-nspawn"
        ),
        Err(_) => "systemd-nspawn".to_owned(),
    };
    let version = run(&stage.host, &format!("{program} --version"))?;
    let version = version.split_whitespace().nth(1)?.to_owned();
    let root = "/run/throwaway/nspawn";
    // A host's systemd makes these, with which it covers files.
    stage.host.shell(
        "mkdir -p -m 0 /run/systemd/inaccessible/dir
         cd /run/systemd/inaccessible; [ -e reg ] || install -m 0 /dev/null reg
         [ -e chr ] || mknod -m 0 chr c 0 0; [ -e blk ] || mknod -m 0 blk b 0 0
         [ -e fifo ] || mkfifo -m 0 fifo",
    );
    let outcomes = run_in(
        stage,
        root,
        &format!(
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 {program} --quiet --keep-unit --register=no \
                 --private-network --console=pipe {flags} -D {root} \
                 --bind-ro={SHARED}:{SHARED_INSIDE} --bind-ro={SHARED}:{SHARED_TWICE} \
                 --bind={DROP}:{DROP_INSIDE} --"
        ),
    )?;
    let name = format!("nspawn {version}{name}");
    Some(Peer { name, outcomes })
}

/// Podman of an ordinary user, with crun.
fn podman(stage: &Stage) -> Option<Peer> {
    let version = run(&stage.host, "podman --version")?;
    let version = version.split_whitespace().last()?.to_owned();
    let root = "/run/throwaway/podman/root";
    stage.host.shell(
        "id escapee >/dev/null 2>&1 || useradd --uid 4242 --home-dir /run/throwaway/podman escapee
         grep -q ^escapee: /etc/subuid || echo escapee:10000000:65536 | tee -a /etc/subuid >>/etc/subgid
         mkdir -p /run/throwaway/podman/root /run/throwaway/podman/run",
    );
    let outcomes = run_in(
        stage,
        root,
        &format!(
            "chown -R escapee: /run/throwaway/podman
             cd /run/throwaway/podman
             setpriv --reuid=escapee --regid=escapee --init-groups env -i PATH=$PATH \
                 HOME=/run/throwaway/podman XDG_RUNTIME_DIR=/run/throwaway/podman/run \
                 podman --cgroup-manager=cgroupfs --events-backend=file --runtime=crun \
                 run --rm --quiet --cgroups=disabled --network=none --log-driver=none \
                 -v {SHARED}:{SHARED_INSIDE}:ro -v {SHARED}:{SHARED_TWICE}:ro \
                 -v {DROP}:{DROP_INSIDE} --rootfs {root}"
        ),
    )?;
    let name = format!("podman {version}, rootless");
    Some(Peer { name, outcomes })
}

/// Runs the attacker in a root of its own by a command line that its words follow.
fn run_in(stage: &Stage, root: &str, command: &str) -> Option<Vec<Outcome>> {
    stage.host.shell(&format!(
        "rm -rf {root}; mkdir -p {root}/etc {root}/usr {root}/var {root}/proc {root}/sys
         touch {root}/etc/os-release {root}/etc/passwd"
    ));
    stage.arm(root);
    let words = ATTACKER.join(" ");
    let output = run(
        &stage.host,
        &format!("{command} {words} attacker </dev/null"),
    )?;
    Some(Outcome::read(&output))
}

/// What a script prints; `None`, and a line that says so, if it fails.
fn run(host: &Host, script: &str) -> Option<String> {
    let output = host.command("bash").args(["-euc", script]).output();
    let output = output.expect("it runs");
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        eprintln!("not measured: {script}: {}: {said}", output.status);
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}
