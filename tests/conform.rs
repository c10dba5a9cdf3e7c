//! What a system inside may rely on: systemd's Container Interface
//! (<https://systemd.io/CONTAINER_INTERFACE>), its privileges, and their limits.

mod common;

use std::collections::BTreeSet;

use common::{Host, minimal_system};

fn start_foo(host: &Host) {
    host.create("foo");
    host.run(&["start", "foo"]);
}

fn host_with_foo() -> Host {
    let host = Host::new();
    start_foo(&host);
    host
}

/// What a script prints inside, to both of its outputs, however it ends.
fn output_inside(host: &Host, script: &str) -> String {
    let script = format!("exec 2>&1; {script}; true");
    host.run(&["run", "foo", "--", "bash", "-c", &script])
}

/// A directory of the store with a shell script as the init of a system. Its
/// shell is one file, so that it runs before there is anything else.
fn init_of(host: &Host, script: &str) -> String {
    host.shell(&format!(
        "mkdir -p /run/throwaway/system
         head -n 1 {}/init >/run/throwaway/system/init
         cat >>/run/throwaway/system/init <<'END'\n{script}\nEND
         chmod +x /run/throwaway/system/init
         nix-store --add /run/throwaway/system",
        minimal_system()
    ))
    .trim()
    .to_owned()
}

fn boots_whole(host: &Host) {
    start_foo(host);
    let failed = output_inside(host, "systemctl --failed --no-legend --plain");
    assert_eq!(failed, "", "no unit fails");
    assert_eq!(
        output_inside(host, "systemctl is-system-running"),
        "running\n"
    );
}

#[test]
fn a_system_boots_whole() {
    boots_whole(&Host::new());
}

#[test]
fn a_system_boots_whole_beside_cgroups_of_version_1() {
    if let Some(host) = Host::hybrid() {
        boots_whole(&host);
    }
}

#[test]
fn programs_see_that_they_are_in_a_container_and_in_which() {
    let host = host_with_foo();
    // systemd-detect-virt fails outside of containers.
    let seen = host.run(&["run", "foo", "--", "systemd-detect-virt", "--container"]);
    let environment = output_inside(&host, "tr '\\0' '\\n' </proc/1/environ");
    let variable = |name: &str| {
        let assigned = format!("{name}=");
        let value = environment
            .lines()
            .find_map(|line| line.strip_prefix(&assigned));
        value.unwrap_or("not set").to_owned()
    };
    assert_eq!(seen, "systemd-nspawn\n");
    assert_eq!(variable("container"), "systemd-nspawn");
    assert_eq!(
        output_inside(&host, "cat /run/host/container-manager"),
        "systemd-nspawn\n"
    );
    assert_eq!(
        output_inside(&host, "cat /run/systemd/container"),
        "systemd-nspawn\n"
    );
    let uuid = variable("container_uuid");
    assert_eq!(
        output_inside(&host, "cat /run/host/container-uuid"),
        format!("{uuid}\n")
    );
    assert_eq!(
        output_inside(&host, "cat /etc/machine-id"),
        uuid.replace('-', "") + "\n"
    );
    assert_eq!(variable("NOTIFY_SOCKET"), "/run/host/notify");
    assert_eq!(
        output_inside(&host, "stat -c %F /run/host/notify"),
        "socket\n"
    );
    assert_eq!(
        output_inside(&host, "cat /run/host/os-release"),
        host.shell("cat /etc/os-release")
    );
}

#[test]
fn the_store_gives_neither_setuid_programs_nor_devices() {
    let host = host_with_foo();
    let options = output_inside(&host, "findmnt --noheadings --output OPTIONS /nix/store");
    for option in ["ro", "nosuid", "nodev"] {
        assert!(options.trim().split(',').any(|o| o == option), "{options}");
    }
}

#[test]
fn a_system_for_32_bit_machines_is_on_one() {
    let host = Host::new();
    let system = init_of(&host, "uname -m");
    // The file that NixOS' systems have.
    let with_name = host.shell(&format!(
        "system=$TMPDIR/system-for-i686; cp -r {system} $system
         echo -n i686-linux >$system/system; nix-store --add $system"
    ));
    for (system, machine) in [(system.as_str(), "x86_64"), (with_name.trim(), "i686")] {
        host.run(&["create", "foo", "--force", "--system-path", system]);
        let supervise = [env!("CARGO_BIN_EXE_nixos-container"), "supervise", "foo"];
        let printed = host.shell(&supervise.join(" "));
        assert_eq!(printed.trim(), machine);
    }
}

#[test]
fn a_container_keeps_its_identity_and_tells_its_boots_apart() {
    let host = host_with_foo();
    let machine = output_inside(&host, "cat /etc/machine-id");
    let boot_id = "/proc/sys/kernel/random/boot_id";
    let first = output_inside(&host, &format!("cat {boot_id}"));
    host.run(&["restart", "foo"]);
    assert_eq!(output_inside(&host, "cat /etc/machine-id"), machine);
    let second = output_inside(&host, &format!("cat {boot_id}"));
    assert_ne!(first, second);
    assert_ne!(second, host.shell(&format!("cat {boot_id}")));
}

#[test]
fn init_has_a_terminal_and_nothing_of_its_caller() {
    let host = Host::new();
    // A shell keeps its script open, and cannot trap what it was told to ignore.
    let system = init_of(
        &host,
        r#"for number in $(seq 0 255); do
            file=/proc/$$/fd/$number
            if [ -e $file ] && ! [ $file -ef "$0" ]; then
                echo -n "open $number " && readlink $file
            fi
        done
        trap 'echo interrupted by PIPE' PIPE
        kill -PIPE $$
        echo umask $(umask), open files $(ulimit -S -n)
        tr '\0' '\n' </proc/1/environ | sed 's/^/environment /'"#,
    );
    host.run(&["create", "foo", "--system-path", &system]);
    let printed = host.shell(&format!(
        "cd /tmp; umask 077; ulimit -S -n 77; trap '' PIPE; exec 7</etc/passwd 9>&1
         SECRET=1 exec {} supervise foo </dev/null",
        env!("CARGO_BIN_EXE_nixos-container")
    ));
    let printed: Vec<&str> = printed
        .lines()
        .filter(|line| !line.starts_with("environment container_uuid="))
        .collect();
    let expected = [
        "open 0 /dev/console",
        "open 1 /dev/console",
        "open 2 /dev/console",
        "interrupted by PIPE",
        "umask 0022, open files 1024",
        "environment container=systemd-nspawn",
        "environment NOTIFY_SOCKET=/run/host/notify",
        "environment TERM=linux",
        "environment HOME=/root",
        "environment USER=root",
        "environment LOGNAME=root",
    ];
    assert_eq!(printed, expected);
}

#[test]
fn the_console_can_be_written_and_is_logged() {
    let host = host_with_foo();
    assert_eq!(
        output_inside(&host, "[ -t 0 ] </dev/console && echo yes"),
        "yes\n"
    );
    output_inside(&host, "echo it was here >/dev/console");
    let log = host.run(&["logs", "foo"]);
    assert!(log.contains("it was here"), "{log}");
}

#[test]
fn of_the_kernels_settings_only_those_of_the_own_network_can_be_changed() {
    let host = host_with_foo();
    for path in [
        "/run/host/x",
        "/sys/x",
        "/sys/kernel/x",
        "/proc/sys/kernel/hostname",
    ] {
        let answer = output_inside(&host, &format!("touch {path}"));
        assert!(answer.contains("Read-only file system"), "{path}: {answer}");
    }
    let forward = "/proc/sys/net/ipv4/ip_forward";
    let hosts = host.shell(&format!("cat {forward}"));
    let other = if hosts == "0\n" { "1" } else { "0" };
    assert_eq!(
        output_inside(&host, &format!("echo {other} >{forward}; cat {forward}")),
        format!("{other}\n")
    );
    assert_eq!(host.shell(&format!("cat {forward}")), hosts);

    host.run(&["stop", "foo"]);
    host.shell("sed -i '/ADDRESS/d; s/^PRIVATE_NETWORK=.*/PRIVATE_NETWORK=0/' $NIXOS_CONTAINER_CONF_DIR/foo.conf");
    host.run(&["start", "foo"]);
    let answer = output_inside(&host, &format!("echo {other} >{forward}"));
    assert!(answer.contains("Read-only file system"), "{answer}");
}

#[test]
fn a_host_name_that_is_changed_inside_stays_inside() {
    let host = host_with_foo();
    let hosts = host.shell("hostname");
    assert_eq!(
        output_inside(&host, "hostname changed; hostname"),
        "changed\n"
    );
    assert_eq!(host.shell("hostname"), hosts);
}

#[test]
fn the_systemd_inside_divides_its_cgroup() {
    let host = host_with_foo();
    let run = "systemd-run --quiet --pipe --slice=mine.slice grep ^0:: /proc/self/cgroup";
    let group = output_inside(&host, run);
    assert!(group.starts_with("0::/mine.slice/run-"), "{group}");
    let outside = host.shell("ls -d /sys/fs/cgroup/nixos-container-foo/payload/*.slice");
    assert!(outside.contains("/mine.slice\n"), "{outside}");
}

#[test]
fn programs_that_change_the_user_work() {
    let host = host_with_foo();
    let script = "cp /bin/bash /var/tmp/root; chmod u+s /var/tmp/root
                  setpriv --reuid=1000 --clear-groups /var/tmp/root -p -c 'id -u'";
    assert_eq!(output_inside(&host, script), "0\n");
}

/// What `man 1 systemd-nspawn` gives by default (`--capability=`).
const CAPABILITIES: [&str; 26] = [
    "cap_audit_control",
    "cap_audit_write",
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_ipc_owner",
    "cap_kill",
    "cap_lease",
    "cap_linux_immutable",
    "cap_mknod",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_raw",
    "cap_setfcap",
    "cap_setgid",
    "cap_setpcap",
    "cap_setuid",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_chroot",
    "cap_sys_nice",
    "cap_sys_ptrace",
    "cap_sys_resource",
    "cap_sys_tty_config",
];

#[test]
fn root_can_do_what_a_booted_system_needs_and_no_more() {
    let host = host_with_foo();
    let decode = |set: &str| -> BTreeSet<String> {
        let names = output_inside(&host, &format!("capsh --decode={set}"));
        let (_, names) = names.trim().split_once('=').expect("SET=NAMES");
        names.split(',').map(str::to_owned).collect()
    };
    let bounding = "sed -n 's/^CapBnd:\\t//p' /proc/1/status";
    let mut expected: BTreeSet<String> = CAPABILITIES.map(str::to_owned).into();
    expected.insert("cap_net_admin".to_owned());
    // The host itself may lack some.
    let hosts = decode(host.shell(bounding).trim());
    expected.retain(|name| hosts.contains(name));
    assert_eq!(decode(output_inside(&host, bounding).trim()), expected);
}

#[test]
fn the_kernel_of_all_is_out_of_reach() {
    let host = host_with_foo();
    for command in [
        "dmesg --syslog",
        "swapoff /nothing",
        "busybox rmmod nothing",
    ] {
        let answer = output_inside(&host, command);
        assert!(
            answer.contains("Function not implemented"),
            "{command}: {answer}"
        );
    }
    for file in [
        "/proc/kcore",
        "/proc/kmsg",
        "/proc/keys",
        "/proc/kallsyms",
        "/proc/sysrq-trigger",
    ] {
        assert_eq!(
            output_inside(&host, &format!("cat {file} 2>/dev/null | head -c 1")),
            "",
            "{file}"
        );
    }
}

#[test]
fn the_hosts_disks_cannot_be_opened() {
    let host = host_with_foo();
    for place in ["/disk", "/tmp/disk", "/var/tmp/disk", "/mine/disk"] {
        let answer = output_inside(
            &host,
            &format!(
                "mkdir /mine; mount -t tmpfs mine /mine; mknod {place} b 254 0 && head -c 1 {place}"
            ),
        );
        assert!(
            answer.contains("Operation not permitted"),
            "{place}: {answer}"
        );
    }
    // Nor where the node is there already.
    host.shell("mknod $NIXOS_CONTAINER_STATE_DIR/foo/given b 254 0");
    let answer = output_inside(&host, "head -c 1 /given");
    assert!(answer.contains("Operation not permitted"), "{answer}");
    // What a service with PrivateDevices= gets.
    let harmless = "mknod /mine/null c 1 3 && echo >/mine/null && head -c 1 /dev/zero | wc -c";
    assert_eq!(output_inside(&host, harmless), "1\n");
}

#[test]
fn the_hosts_device_nodes_cannot_be_changed() {
    let host = host_with_foo();
    let nodes = "/dev/full /dev/null /dev/random /dev/tty /dev/urandom /dev/zero";
    let state = format!("stat -c '%a %u:%g %n' {nodes}");
    let before = host.shell(&state);
    for line in before.lines() {
        let [mode, owner, node] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not MODE OWNER NODE: {line}");
        };
        // To what they are, since they are the machine's.
        let answer = output_inside(&host, &format!("chmod {mode} {node}; chown {owner} {node}"));
        assert_eq!(
            answer.matches("Read-only file system").count(),
            2,
            "{answer}"
        );
    }
    assert_eq!(host.shell(&state), before);
}

#[test]
fn the_device_of_tunnels_is_the_containers_own() {
    let host = host_with_foo();
    let state = "stat -c '%a %u:%g' /dev/net/tun";
    let before = host.shell(state);
    for users in ["no", "pick"] {
        host.run(&["stop", "foo"]);
        host.append_conf("foo", &format!("PRIVATE_USERS={users}"));
        host.run(&["start", "foo"]);
        let inside = format!(
            "{state}
             setpriv --reuid=1000 --clear-groups sh -c ': <>/dev/net/tun' && echo opened
             journalctl --no-pager --quiet --grep 'fchmod.*failed'
             chmod 600 /dev/net/tun; chown 7:8 /dev/net/tun; {state}"
        );
        assert_eq!(
            output_inside(&host, &inside),
            "666 0:0\nopened\n600 7:8\n",
            "{users}"
        );
    }
    assert_eq!(host.shell(state), before);
}
