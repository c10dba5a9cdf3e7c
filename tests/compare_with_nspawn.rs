//! The same system under this command and under systemd-nspawn: what it finds
//! inside differs only where that is chosen, see `compare_with_nspawn/chosen.rs`.

mod common;

#[path = "compare_with_nspawn/chosen.rs"]
mod chosen;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use common::{Host, PATIENCE, minimal_system, succeed};

#[test]
fn every_difference_from_nspawn_is_a_chosen_one() {
    let host = Host::new();
    let Some(peer) = Nspawn::boot(&host) else {
        return;
    };
    host.create("foo");
    host.run(&["start", "foo"]);
    let bash = "/run/current-system/sw/bin/bash";
    let here = facts(&host, &host.run(&["run", "foo", "--", bash, "-c", FACTS]));
    let there = facts(&host, &peer.run(&[bash, "-c", FACTS]));
    assert!(here.len() > 100, "that is not all: {here:#?}");

    let exists = |path: &str| host.shell(&format!("! [ -e {path} ] || echo yes")) == "yes\n";
    let mut ours: BTreeSet<&String> = here.difference(&there).collect();
    let mut nspawns: BTreeSet<&String> = there.difference(&here).collect();
    let mut gone = Vec::new();
    for difference in chosen::differences(peer.version) {
        let mut met = true;
        for line in &difference.ours {
            met &= ours.remove(line);
        }
        for line in &difference.nspawns {
            met &= nspawns.remove(line);
        }
        if !met && difference.kernel_file.as_deref().is_none_or(exists) {
            gone.push(difference);
        }
    }
    assert!(
        ours.is_empty() && nspawns.is_empty() && gone.is_empty(),
        "not chosen, only here: {ours:#?}\nnot chosen, only under systemd-nspawn: {nspawns:#?}\n\
         chosen, but not so: {gone:#?}"
    );
}

#[test]
fn nothing_of_the_host_is_mounted_but_what_is_bound() {
    let host = Host::new();
    host.create("foo");
    host.run(&["start", "foo"]);
    let on_host = host.shell("cat /proc/self/mountinfo");
    let hosts: BTreeSet<&str> = on_host
        .lines()
        .map(|line| Mount::parse(line).device)
        .collect();
    let inside = host.run(&["run", "foo", "--", "cat", "/proc/self/mountinfo"]);
    let of_the_host = inside
        .lines()
        .map(Mount::parse)
        .filter(|mount| hosts.contains(mount.device));
    let targets: Vec<&str> = of_the_host.map(|mount| mount.target).collect();
    let identify = ["stat", "--dereference", "--format=%d:%i"];
    let shown = host.run(&[&["run", "foo", "--"], &identify[..], &targets].concat());
    let shown: BTreeMap<&str, &str> = targets.into_iter().zip(shown.lines()).collect();

    let place = |variable| host.place(variable).join("foo").display().to_string();
    let nix = |what| {
        let state = host.place("STATE_DIR").join(".foo.nix");
        state.join(what).display().to_string()
    };
    let own = [
        ("/", place("STATE_DIR")),
        ("/nix/var/nix/profiles", nix("profiles")),
        ("/nix/var/nix/gcroots", nix("gcroots")),
        ("/run/host/notify", place("RUN_DIR") + "/notify"),
        ("/run/host/os-release", "/etc/os-release".to_owned()),
        // One tree for all; each sees its own group as the root of it.
        (
            "/sys/fs/cgroup",
            "/sys/fs/cgroup/nixos-container-foo/payload".to_owned(),
        ),
    ];
    let same = [
        "/nix/store",
        "/nix/var/nix/daemon-socket",
        "/dev/full",
        "/dev/null",
        "/dev/random",
        "/dev/tty",
        "/dev/urandom",
        "/dev/zero",
    ];
    let same = same.map(|path| (path, path.to_owned()));
    let mut bound = BTreeMap::new();
    for (target, source) in own.into_iter().chain(same) {
        let identify = identify.join(" ");
        let identity = host.shell(&format!("{identify} {source} 2>/dev/null || true"));
        // A host whose Nix has no daemon lacks its socket.
        if !identity.is_empty() {
            bound.insert(target, identity.trim().to_owned());
        }
    }
    let bound = bound.iter().map(|(target, id)| (*target, id.as_str()));
    assert_eq!(shown, bound.collect());
}

const FACTS: &str = include_str!("compare_with_nspawn/facts.sh");

/// What `facts.sh` printed, without what is different at every start.
fn facts(host: &Host, output: &str) -> BTreeSet<String> {
    let host = HostFacts {
        namespaces: host
            .shell("readlink /proc/1/ns/*")
            .lines()
            .map(str::to_owned)
            .collect(),
        boot_id: host.shell("cat /proc/sys/kernel/random/boot_id"),
    };
    let mut facts = BTreeSet::new();
    let mut mounts = Vec::new();
    for line in output.lines() {
        match line.split_once(' ') {
            Some(("mountinfo", fields)) => mounts.push(Mount::parse(fields)),
            _ => drop(facts.insert(host.generalise(line))),
        }
    }
    let covered = |mount: &Mount| mounts.iter().any(|other| other.covers(mount));
    facts.extend(
        mounts
            .iter()
            .filter(|mount| !covered(mount))
            .flat_map(Mount::facts),
    );
    facts
}

/// A line of `/proc/PID/mountinfo` (`man 5 proc_pid_mountinfo`).
struct Mount<'a> {
    id: &'a str,
    parent: &'a str,
    /// Its file system, by number.
    device: &'a str,
    /// What of its file system is seen.
    root: &'a str,
    target: &'a str,
    attributes: &'a str,
    /// `shared:7` and the like.
    propagation: Vec<&'a str>,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Self {
        let (mount, filesystem) = line
            .split_once(" - ")
            .expect("a dash before the file system");
        let mount: Vec<&str> = mount.split(' ').collect();
        let filesystem: Vec<&str> = filesystem.split(' ').collect();
        let [
            id,
            parent,
            device,
            root,
            target,
            attributes,
            ref propagation @ ..,
        ] = mount[..]
        else {
            panic!("no mount: {line}");
        };
        let [kind, _, options] = filesystem[..] else {
            panic!("no file system: {line}");
        };
        Self {
            id,
            parent,
            device,
            root,
            target,
            attributes,
            propagation: propagation.to_vec(),
            kind,
            options,
        }
    }

    /// A file system made for the container, not a part of another one.
    fn is_whole(&self) -> bool {
        self.root == "/" && self.target != "/"
    }

    /// Whether it lies on the other or on a directory above it.
    fn covers(&self, other: &Self) -> bool {
        let target = Path::new(other.target);
        (self.parent == other.id && self.target == other.target)
            || (self.parent == other.parent
                && self.target != other.target
                && target.starts_with(self.target))
    }

    fn facts(&self) -> Vec<String> {
        let kind = if self.is_whole() { self.kind } else { "bind" };
        let mut words = vec!["mount", self.target, kind, self.attributes];
        // The number is of no meaning.
        words.extend(
            self.propagation
                .iter()
                .filter_map(|word| word.split(':').next()),
        );
        let mut facts = vec![words.join(" ")];
        if self.is_whole() {
            facts.push(format!("options {} {}", self.target, self.options));
        }
        facts
    }
}

struct HostFacts {
    namespaces: Vec<String>,
    boot_id: String,
}

impl HostFacts {
    fn generalise(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["namespace", kind, id] if self.namespaces.iter().any(|host| host == id) => {
                format!("namespace {kind} of the host")
            }
            ["namespace", kind, _] => format!("namespace {kind} of its own"),
            ["boot", id] if id == self.boot_id.trim() => "boot of the host".to_owned(),
            ["boot", _] => "boot of its own".to_owned(),
            ["environment", variable] => match variable.split_once('=') {
                Some((key @ "container_uuid", _)) => format!("environment {key}"),
                Some((key, _)) if key.starts_with("container_host_") => {
                    format!("environment {key}")
                }
                _ => words.join(" "),
            },
            // Which ones there are to inherit depends on the machine.
            ["status", "CapInh:", set] if set.bytes().any(|digit| digit != b'0') => {
                "status CapInh: not empty".to_owned()
            }
            // The getty takes the terminal for its own, sooner or later.
            [
                "file",
                path @ ("'/dev/console'" | "'/dev/pts/0'"),
                "character",
                ..,
            ] => {
                format!("file {path} terminal")
            }
            _ => words.join(" "),
        }
    }
}

/// The same system under systemd-nspawn, with the flags of nixpkgs' unit.
struct Nspawn<'a> {
    host: &'a Host,
    process: Child,
    /// Its PID 1, in the host's PID namespace.
    leader: String,
    notify: PathBuf,
    version: u32,
}

impl<'a> Nspawn<'a> {
    /// `None`, and a line that says why, where there is none to compare with.
    fn boot(host: &'a Host) -> Option<Self> {
        let version = host.shell("systemd-nspawn --version 2>/dev/null || true");
        // "systemd 257 (257.13-1)"
        let version = version.split(' ').nth(1).and_then(|word| word.parse().ok());
        let Some(version) = version.filter(|version| chosen::VERSIONS.contains(version)) else {
            println!(
                "skipped: no systemd-nspawn of versions {:?}; try apt-get install systemd-container",
                chosen::VERSIONS
            );
            return None;
        };
        let notify = std::env::temp_dir().join(format!("nspawn-notify-{}", std::process::id()));
        let socket = UnixDatagram::bind(&notify).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let script = format!(
            "exec >/run/throwaway/nspawn.log 2>&1 </dev/null
             cd /run/throwaway
             mkdir -p nspawn/profiles nspawn/gcroots nspawn/root/etc nspawn/root/var/lib nspawn/root/usr
             mkdir -m 0700 nspawn/root/root
             touch nspawn/root/etc/os-release nspawn/root/etc/machine-id
             socket=/nix/var/nix/daemon-socket
             exec env --ignore-environment PATH=\"$PATH\" NOTIFY_SOCKET={notify} \
                 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
                 systemd-nspawn --keep-unit --register=no -M peer --hostname=foo -D nspawn/root \
                 --notify-ready=yes --kill-signal=SIGRTMIN+3 \
                 --bind-ro=/nix/store --bind-ro=/nix/var/nix/db \
                 $([ ! -e $socket ] || echo --bind-ro=$socket) \
                 --bind=$PWD/nspawn/profiles:/nix/var/nix/profiles \
                 --bind=$PWD/nspawn/gcroots:/nix/var/nix/gcroots \
                 --private-network --network-veth {system}/init",
            notify = notify.display(),
            system = minimal_system(),
        );
        let process = host
            .command("bash")
            .args(["-euc", &script])
            .stdin(Stdio::null())
            .spawn()
            .expect("it runs");
        let mut nspawn = Self {
            host,
            process,
            leader: String::new(),
            notify,
            version,
        };
        nspawn.leader = nspawn.await_ready(&socket);
        Some(nspawn)
    }

    /// The leader's pid, once the system is up (`man 3 sd_notify`, and
    /// X_NSPAWN_LEADER_PID as systemd-nspawn sends it).
    fn await_ready(&self, socket: &UnixDatagram) -> String {
        let (mut leader, mut ready) = (None, false);
        let mut message = [0; 4096];
        loop {
            if let (Some(leader), true) = (&leader, ready) {
                return String::clone(leader);
            }
            let Ok(length) = socket.recv(&mut message) else {
                panic!(
                    "not ready: {}",
                    self.host.shell("cat /run/throwaway/nspawn.log")
                );
            };
            for line in String::from_utf8_lossy(&message[..length]).lines() {
                match line.split_once('=') {
                    Some(("READY", "1")) => ready = true,
                    Some(("X_NSPAWN_LEADER_PID", pid)) => leader = Some(pid.to_owned()),
                    _ => {}
                }
            }
        }
    }

    /// Runs a program inside, which must succeed; what it printed.
    fn run(&self, words: &[&str]) -> String {
        let mut nsenter = self.host.command("nsenter");
        nsenter
            .args([
                "--target",
                &self.leader,
                "--all",
                "env",
                "--ignore-environment",
            ])
            .arg("PATH=/run/current-system/sw/bin")
            .args(words);
        succeed(&mut nsenter)
    }
}

impl Drop for Nspawn<'_> {
    fn drop(&mut self) {
        // Killed, it would leave a directory in /tmp.
        if self.leader.is_empty() {
            let _ = self.process.kill();
        } else {
            let halt = format!("kill -s RTMIN+3 {} || true", self.leader);
            self.host.shell(&halt);
        }
        let _ = self.process.wait();
        let _ = std::fs::remove_file(&self.notify);
    }
}
