//! What the end-to-end tests share: a host of their own each, and the command
//! on it.

#![allow(dead_code, reason = "each test program uses its part")]

pub mod conf;
pub mod frames;
pub mod nested;
pub mod own_nix;
pub mod packets;
pub mod peer;
pub mod talk;
pub mod wait;
pub mod world;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// A host in namespaces of its own, with places of its own for containers. It
/// and all that runs on it end when this is dropped, or when the test's
/// process is killed (see `tests/throwaway-host`).
pub struct Host {
    keeper: Child,
    pid: u32,
}

/// Where [`Host::offer_program`] puts the command under test.
pub const PROGRAM: &str = "/run/throwaway/nixos-container";

/// Longer than anything takes that is not stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

impl Host {
    /// A host with cgroup2 alone.
    pub fn new() -> Self {
        Self::with(&["--unified"]).expect("a throwaway host")
    }

    /// The same with a Nix daemon, as NixOS hosts have it, for Nix in
    /// containers.
    pub fn with_nix_daemon() -> Self {
        Self::with(&["--unified", "--nix-daemon"]).expect("a throwaway host")
    }

    /// A host with the machine's own layout of cgroup version 1 and 2; `None`,
    /// and a line that says so, on a machine without version 1.
    pub fn hybrid() -> Option<Self> {
        let host = Self::with(&["--hybrid"]);
        if host.is_none() {
            println!("skipped: this machine has no hybrid cgroups");
        }
        host
    }

    fn with(options: &[&str]) -> Option<Self> {
        let mut keeper = Command::new(throwaway_host())
            .args(options)
            .arg("--hold")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tests/throwaway-host runs");
        let mut line = String::new();
        BufReader::new(keeper.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("readable");
        match line.trim().strip_prefix("ready ") {
            Some(pid) => Some(Self {
                pid: pid.parse().expect("a pid"),
                keeper,
            }),
            None => {
                let status = keeper.wait().expect("waitable");
                // The exit code for a layout that the machine does not have.
                assert_eq!(status.code(), Some(77), "throwaway-host: {status}");
                None
            }
        }
    }

    /// A program on this host, to be configured further.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(throwaway_host());
        command
            .arg("--enter")
            .arg(self.pid.to_string())
            .arg(program);
        command
    }

    /// The command under test, to be configured further.
    pub fn nixos_container(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_nixos-container"));
        command.args(arguments);
        command
    }

    /// Runs the command under test.
    pub fn try_run(&self, arguments: &[&str]) -> Output {
        self.nixos_container(arguments).output().expect("it runs")
    }

    /// Runs the command under test, which must succeed; what it printed.
    pub fn run(&self, arguments: &[&str]) -> String {
        succeed(&mut self.nixos_container(arguments))
    }

    /// Runs a shell script on this host, which must succeed; what it printed.
    pub fn shell(&self, script: &str) -> String {
        succeed(self.command("bash").args(["-euc", script]))
    }

    /// Runs the command under test, which must fail with this exit code; what
    /// it wrote to standard error.
    pub fn fail(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.try_run(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        stderr
    }

    /// A container with the minimal system and without NAT, created and not
    /// started. NAT changes a setting of the host, and a start says so.
    pub fn create(&self, name: &str) {
        self.create_of(name, minimal_system());
    }

    /// The same with another system.
    pub fn create_of(&self, name: &str, system: &str) {
        self.create_with(name, &["--system-path", system]);
    }

    /// The same with these options.
    pub fn create_with(&self, name: &str, options: &[&str]) {
        self.run(&[&["create", name], options].concat());
        self.remove_from_conf(name, "NAT");
    }

    /// A container with the minimal system, created and started.
    pub fn create_and_start(&self, name: &str) {
        self.create(name);
        self.run(&["start", name]);
    }

    /// A container whose init writes this to its console, as `printf` takes it,
    /// and fails; what its start says of that.
    pub fn fail_to_start(&self, name: &str, words: &str) -> String {
        let system = self.system_with_init(&format!("printf '{words}'\nexit 1"));
        self.create_of(name, &system);
        self.fail(1, &["start", name])
    }

    /// Puts the command under test where every user of the host can reach it.
    pub fn offer_program(&self) {
        self.shell(&format!(
            "touch {PROGRAM}; mount --bind {} {PROGRAM}",
            env!("CARGO_BIN_EXE_nixos-container")
        ));
    }

    /// The place of something that belongs to containers, by the variable that
    /// moves it (as in `CONF_DIR`).
    pub fn place(&self, variable: &str) -> PathBuf {
        let variables = fs::read_to_string(self.file("/run/throwaway/env")).expect("readable");
        let prefix = format!("NIXOS_CONTAINER_{variable}=");
        let mut lines = variables.lines();
        let value = lines.find_map(|line| line.strip_prefix(&prefix));
        value.expect("one of the variables").into()
    }

    /// A file of this host as the test itself can open it.
    pub fn file(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{path}", self.pid).into()
    }

    /// All that containers could leave behind, a line each: links, routes,
    /// names, rules, settings, mounts, cgroups, processes, sockets and files.
    pub fn inventory(&self) -> Vec<String> {
        let script = r#"
            ip -o link | sed -E 's/^[0-9]+: ([^:@]+).*/link \1/'
            # A link's own address comes a second or two after the link.
            ip -o route show table all | grep -v '^local fe80::' | sed 's/^/route /'
            sed 's/^/hosts /' /etc/hosts
            nft list ruleset | sed 's/^/rule /'
            grep -H '' /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
            sed -E 's/^[0-9]+ [0-9]+ [^ ]+ [^ ]+ ([^ ]+).*/mount \1/' /proc/self/mountinfo
            find /sys/fs/cgroup -name 'nixos-container*' | sed 's/^/cgroup /'
            ps -eo comm= | grep -vxE 'ps|bash|sh|sed|find|ip|grep|sort|throwaway-host|sleep|cat|unshare|nsenter' | sed 's/^/process /' || true
            find /run/nixos-containers /run/nixos-containers-public "$NIXOS_CONTAINER_CONF_DIR" "$NIXOS_CONTAINER_STATE_DIR" \
                "$NIXOS_CONTAINER_PROFILE_DIR" "$NIXOS_CONTAINER_GCROOT_DIR" \
                -mindepth 1 -not -name '*.lock' | sed 's/^/file /'
        "#;
        let mut lines: Vec<_> = self.shell(script).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The inventory after a container has stopped, when its link is gone, too.
    pub fn inventory_after_stop(&self, name: &str) -> Vec<String> {
        let link = format!("link ve-{name}");
        let mut lines = Vec::new();
        wait::until("the link is gone", || {
            lines = self.inventory();
            !lines.contains(&link)
        });
        lines
    }

    /// Waits until the inventory is this one: the kernel removes the links of
    /// a network namespace some time after its last process.
    pub fn await_inventory(&self, expected: &[String]) {
        wait::until_lines("the inventory", expected, || self.inventory());
    }

    /// What `status` says of a container.
    pub fn status(&self, name: &str) -> String {
        let output = self.try_run(&["status", name]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Waits until `status` says this of a container.
    pub fn await_status(&self, name: &str, expected: &str) {
        let what = format!("the status {expected}");
        wait::until(&what, || self.status(name) == expected);
    }

    /// Waits until these words are in the log of a container's console, which
    /// the kernel brings there in its own time; the log.
    pub fn await_log(&self, name: &str, words: &str) -> String {
        let mut log = String::new();
        wait::until(words, || {
            let output = self.try_run(&["logs", name]);
            log = String::from_utf8_lossy(&output.stdout).into_owned();
            log.contains(words)
        });
        log
    }

    /// Runs a shell script in a container, which must succeed; what it printed.
    pub fn inside(&self, name: &str, script: &str) -> String {
        self.run(&["run", name, "--", "bash", "-euc", script])
    }

    /// The names of the network links in a container, sorted.
    pub fn links_inside(&self, name: &str) -> Vec<String> {
        let links = self.inside(name, "ls /sys/class/net");
        links.split_whitespace().map(str::to_owned).collect()
    }

    /// A system whose init is this shell script alone, as a store path.
    pub fn system_with_init(&self, script: &str) -> String {
        // The shell of a real one: static, for there is nothing else inside.
        let added = self.shell(&format!(
            "system=$(mktemp -d)/test-system; mkdir $system
             head -n 1 {}/init >$system/init
             cat >>$system/init <<'END'\n{script}\nEND
             chmod +x $system/init
             nix-store --add $system",
            minimal_system()
        ));
        added.trim().to_owned()
    }

    /// Whether the kernel tells how a process ended that it has reaped itself,
    /// which it does since Linux 6.15.
    pub fn remembers_exits(&self) -> bool {
        self.kernel() >= (Some(6), Some(15))
    }

    /// Whether the kernel has SO_PASSRIGHTS, as it does since Linux 6.16.
    pub fn refuses_descriptors(&self) -> bool {
        self.kernel() >= (Some(6), Some(16))
    }

    /// The first two numbers of the kernel's version.
    fn kernel(&self) -> (Option<u32>, Option<u32>) {
        let release = self.shell("uname -r");
        let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
        let mut next = || numbers.next().and_then(Result::ok);
        (next(), next())
    }

    /// Runs `action` in one of this host's networks, on a thread of its own.
    /// Sockets that it makes belong to that network wherever they are used.
    pub fn within<T: Send>(&self, network: Network<'_>, action: impl FnOnce() -> T + Send) -> T {
        let path = self.network_namespace(network);
        let namespace = File::open(&path).expect("a network namespace");
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| {
                // SAFETY: the call takes an open descriptor and a flag, and
                // changes nothing but the network of this thread, which ends
                // after the action.
                let answer = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) };
                assert_eq!(answer, 0, "{path}: {}", std::io::Error::last_os_error());
                action()
            });
            entered.join().expect("the action does not panic")
        })
    }

    fn network_namespace(&self, network: Network<'_>) -> String {
        let host = self.pid;
        match network {
            Network::Host => format!("/proc/{host}/ns/net"),
            Network::Machine(name) => format!("/proc/{host}/root/run/netns/{name}"),
            Network::Container(name) => {
                let link = self.run(&["run", name, "--", "readlink", "/proc/1/ns/net"]);
                let number = link.trim().trim_start_matches("net:");
                let number = number.trim_matches(['[', ']']);
                let find =
                    format!("lsns --noheadings --type net --output NS,PID | grep -w {number}");
                let line = self.shell(&find);
                let pid = line.split_whitespace().nth(1).expect("a pid");
                format!("/proc/{host}/root/proc/{pid}/ns/net")
            }
        }
    }
}

/// A network that a [`Host`] can reach into.
#[derive(Clone, Copy, Debug)]
pub enum Network<'a> {
    /// Its own.
    Host,
    /// That of another machine, made with `ip netns add` on the host.
    Machine(&'a str),
    /// That of a running container.
    Container(&'a str),
}

impl Drop for Host {
    fn drop(&mut self) {
        // The host ends when its standard input is closed.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}

/// Runs a command that must succeed; what it printed.
pub fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The smallest system that mini-nixpkgs builds, as a store path. Built once
/// for a test program, and kept by no garbage collection root: a collection
/// during a test run breaks it.
pub fn minimal_system() -> &'static str {
    static SYSTEM: OnceLock<String> = OnceLock::new();
    SYSTEM.get_or_init(|| system("{ }"))
}

/// The directory of mini-nixpkgs.
pub fn mini_nixpkgs() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "mini-nixpkgs"]
        .iter()
        .collect()
}

/// Makes a flake in a directory of the host, with a system of this name in its
/// `nixosConfigurations` that has these options.
pub fn flake(host: &Host, directory: &str, name: &str, options: &str) {
    host.shell(&format!(
        "mkdir -p {directory}
         cat >{directory}/flake.nix <<'END'
{{
  inputs.nixpkgs.url = \"path:{}\";
  outputs = {{ nixpkgs, ... }}: {{
    nixosConfigurations.{name} = nixpkgs.lib.nixosSystem {{
      system = \"x86_64-linux\";
      modules = [ {{ boot.isNspawnContainer = true; {options} }} ];
    }};
  }};
}}
END",
        mini_nixpkgs().display()
    ));
}

/// A `$PATH` on which the Nix of mini-nixpkgs' tree comes first.
pub fn nix_of_the_tree(host: &Host) -> String {
    let script = r#"
        tree=$(nix-instantiate --eval "$1/tree.nix" --attr path | tr -d '"')
        mkdir -p /run/throwaway/nix-of-the-tree
        for program in nix nix-build nix-env nix-instantiate nix-store; do
            # Its libraries are where a container has them.
            printf '#!/bin/sh
exec %s --library-path %s --argv0 %s %s "$@"
'                 "$tree"/usr/lib64/ld-linux-*.so.* "$(echo "$tree"/usr/lib/*-linux-gnu)"                 "$program" "$tree/usr/bin/nix" >"/run/throwaway/nix-of-the-tree/$program"
            chmod +x "/run/throwaway/nix-of-the-tree/$program"
        done
        echo -n "/run/throwaway/nix-of-the-tree:$PATH""#;
    let mut command = host.command("bash");
    command.args(["-euc", script, "bash"]).arg(mini_nixpkgs());
    succeed(&mut command)
}

/// The system that mini-nixpkgs builds from a module, as a store path.
pub fn system(module: &str) -> String {
    let expression = format!(
        "(import <nixpkgs/nixos> {{ configuration = {{ imports = [ ({module}) ]; \
         boot.isNspawnContainer = true; }}; }}).system"
    );
    let mut nix = Command::new(throwaway_host());
    nix.args(["nix-build", "--no-out-link", "-E", &expression]);
    succeed(&mut nix).trim().to_owned()
}

fn throwaway_host() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "throwaway-host"]
        .iter()
        .collect()
}
