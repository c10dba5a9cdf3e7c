//! What a container's own files and processes can do to the host: nothing.

mod common;

use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use common::talk::Talk;
use common::{Host, PATIENCE, minimal_system, succeed, system};
use serde_json::Value;

/// Where root directories are on a throwaway host.
const ROOT: &str = "/run/throwaway/state/foo";

/// A host of which every change of `/etc` goes to a layer of its own, and which
/// has things beside that a container must not reach.
fn guarded_host() -> Host {
    let host = Host::new();
    host.shell(
        "touch /etc/NIXOS # no names in /etc/hosts then: nothing there changes
         mkdir -p /run/throwaway/victim/nixos /run/throwaway/state/bar/etc
         cd /run/throwaway/victim
         echo 11111111111111111111111111111111 >machine-id
         echo 'root:x:0:0::/root:/bin/false' >passwd
         echo 'throw \"read from the host\"' >configuration.nix
         cp configuration.nix nixos/
         echo precious | tee resolv.conf hostname fstab >/run/throwaway/state/bar/etc/data",
    );
    host
}

/// All that a container must not reach, with contents, times and inodes.
fn precious(host: &Host) -> String {
    host.shell(
        "cd /run/throwaway
         find changes/etc/upper victim state/bar -printf '%p %y %i %m %U:%G %s %T@ %l\n' | sort
         find changes/etc/upper victim state/bar -type f -exec sha256sum {} + | sort",
    )
}

/// Runs the command; it must come to an end.
fn try_in_time(host: &Host, arguments: &[&str]) -> Output {
    let mut command = host.command("timeout");
    command.args(["60", env!("CARGO_BIN_EXE_nixos-container")]);
    command.args(arguments);
    let output = command.output().expect("it runs");
    assert_ne!(output.status.code(), Some(124), "{arguments:?} hangs");
    output
}

/// Every command on a container `foo` whose root directory a script has laid
/// out before; the root is the script's working directory.
fn every_command_on(host: &Host, plant: &str) {
    every_command_with("", host, plant);
}

/// The same with further lines of configuration.
fn every_command_with(lines: &str, host: &Host, plant: &str) {
    let before = precious(host);
    host.shell(&format!("mkdir -p {ROOT}; cd {ROOT}; {plant}"));
    let create = [
        "create",
        "foo",
        "--reuse-root",
        "--system-path",
        minimal_system(),
    ];
    let created = try_in_time(host, &create);
    assert!(created.status.success(), "{plant}: {created:?}");
    host.append_conf(
        "foo",
        &format!("COPY_RESOLV_CONF=1\nTIMEOUT_START_SEC=3\nNAT=0\n{lines}"),
    );
    for arguments in [
        &["explain", "foo"][..],
        &["start", "foo"],
        &["status", "foo"],
        &["show-ip", "foo"],
        &["run", "foo", "--", "true"],
        &["root-login", "foo"],
        &["logs", "foo"],
        &["stop", "foo"],
        &["destroy", "foo"],
    ] {
        let output = try_in_time(host, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let clear = output.status.success() || stderr.starts_with("error: ");
        assert!(clear, "{plant}: {arguments:?}: {output:?}");
        assert!(
            !stderr.contains("panicked"),
            "{plant}: {arguments:?}: {stderr}"
        );
    }
    assert_eq!(
        host.shell(&format!("ls -d {ROOT} 2>&1 || true"))
            .lines()
            .count(),
        1
    );
    assert_eq!(host.run(&["list"]), "", "{plant}");
    assert_eq!(precious(host), before, "{plant}");
}

#[test]
fn a_planted_link_to_etc_leads_nowhere() {
    let host = guarded_host();
    for target in [
        "/etc",
        "../etc",
        "/../etc",
        "../../../../../../etc",
        "/proc/self/root/etc",
        "/proc/1/root/etc",
        "/proc/self/fd/3",
        "/run/throwaway/victim",
        "../run/throwaway/victim",
        "../bar/etc",
        "/../bar/etc",
    ] {
        every_command_on(&host, &format!("ln -s {target} etc"));
    }
}

#[test]
fn planted_links_in_the_place_of_files_are_not_followed_out() {
    let host = guarded_host();
    for file in ["machine-id", "resolv.conf", "passwd", "resolv.conf.tmp"] {
        for target in ["/run/throwaway/victim", "../../../victim"] {
            every_command_on(
                &host,
                &format!("mkdir etc; ln -s {target}/{file} etc/{file}"),
            );
        }
    }
    every_command_on(&host, "mkdir etc; ln -s ../run/throwaway/victim etc/nixos");
}

#[test]
fn planted_links_in_the_place_of_mount_points_are_not_followed_out() {
    let host = guarded_host();
    for place in ["dev", "proc", "run", "sys", "tmp", "nix", "var", "root"] {
        every_command_on(&host, &format!("ln -s ../../victim {place}"));
    }
    every_command_on(&host, "ln -s /run/throwaway/victim run");
    for target in ["/etc", "../../../../../../../etc", "/../../../etc"] {
        every_command_on(&host, &format!("mkdir nix; ln -s {target} nix/store"));
    }
}

#[test]
fn planted_links_lead_nowhere_where_the_container_has_users_of_its_own() {
    let host = guarded_host();
    for plant in [
        "ln -s ../../../victim etc",
        "mkdir etc; ln -s /run/throwaway/victim/resolv.conf etc/resolv.conf",
        "ln -s ../../victim run",
        "mkdir nix; ln -s ../../../../../../../etc nix/store",
    ] {
        every_command_with("PRIVATE_USERS=pick", &host, plant);
    }
    // Every file is given to them, one after the other.
    let given = "PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS=--private-users-ownership=chown";
    for plant in [
        "mkdir -p a/b; ln -s ../../../../victim a/b/c; ln -s ../../victim/passwd a/d",
        "ln -s /proc/1/root/run/throwaway/victim etc",
    ] {
        every_command_with(given, &host, plant);
    }
}

#[test]
fn what_is_no_regular_file_does_not_stop_a_command() {
    let host = guarded_host();
    for plant in [
        "mkdir etc; mkfifo etc/machine-id etc/passwd etc/resolv.conf",
        "mkdir -p etc/machine-id etc/passwd etc/resolv.conf",
        "mkdir etc; mkfifo etc/resolv.conf.tmp",
        "mkfifo etc",
        "mkdir var; touch var/lib",
        "touch dev proc",
        "mkfifo run",
        "mkdir -p dev proc run; ln -s / tmp",
    ] {
        every_command_on(&host, plant);
    }
}

#[test]
fn the_hosts_machine_id_is_not_taken_for_the_containers() {
    let host = guarded_host();
    host.create("foo");
    for link in [
        "/run/throwaway/victim/machine-id",
        "../../../victim/machine-id",
    ] {
        host.shell(&format!(
            "mkdir -p {ROOT}/etc; ln -sf {link} {ROOT}/etc/machine-id"
        ));
        let plan = host.run(&["explain", "foo", "--json"]);
        assert!(plan.contains("container_uuid"), "{plan}");
        assert!(!plan.contains("11111111-1111"), "{plan}");
    }
}

#[test]
fn a_build_reads_the_configuration_that_was_written_for_it() {
    let host = guarded_host();
    let before = precious(&host);
    for plant in [
        "ln -s /etc etc",
        "ln -s ../run/throwaway/victim etc",
        "ln -s /run/throwaway/victim etc",
        "ln -s ../../victim etc",
        // The same path leads somewhere inside, too.
        "mkdir -p run/throwaway/victim; ln -s /run/throwaway/victim etc",
        "mkdir -p etc run/throwaway/victim; ln -s /run/throwaway/victim etc/nixos",
        "mkdir -p etc/nixos; ln -s /run/throwaway/victim/configuration.nix etc/nixos/",
    ] {
        host.shell(&format!("mkdir -p {ROOT}; cd {ROOT}; {plant}"));
        let created = try_in_time(&host, &["create", "foo", "--reuse-root", "--config", ""]);
        let stderr = String::from_utf8_lossy(&created.stderr);
        assert!(!stderr.contains("read from the host"), "{plant}: {stderr}");
        let inside = plant.starts_with("mkdir");
        assert_eq!(created.status.success(), inside, "{plant}: {stderr}");
        host.run(&["destroy", "foo"]);
        assert_eq!(precious(&host), before, "{plant}");
        host.shell(&format!("rm -rf {ROOT}"));
    }
}

#[test]
fn destroy_leaves_what_is_mounted_below_the_root_alone() {
    let host = guarded_host();
    let before = precious(&host);
    host.create("foo");
    let inventory = host.inventory();
    // One of them was there when the container started, all of them go.
    host.shell(&format!(
        "mkdir {ROOT}/mnt; mount --bind /run/throwaway/victim {ROOT}/mnt"
    ));
    host.run(&["start", "foo"]);
    assert_eq!(
        host.run(&["run", "foo", "--", "cat", "/mnt/hostname"]),
        "precious\n"
    );
    host.shell(&format!(
        "mount --bind /run/throwaway/victim {ROOT}/mnt/nixos
         mkdir '{ROOT}/with space'
         mount --bind /run/throwaway/state/bar '{ROOT}/with space'
         touch {ROOT}/file
         mount --bind /run/throwaway/victim/passwd {ROOT}/file"
    ));
    host.run(&["destroy", "foo"]);
    assert_eq!(precious(&host), before);
    assert_eq!(
        host.shell(&format!("ls -d {ROOT} 2>&1 || true"))
            .lines()
            .count(),
        1
    );
    let mounts = |lines: Vec<String>| -> Vec<_> {
        lines
            .into_iter()
            .filter(|line| line.starts_with("mount "))
            .collect()
    };
    assert_eq!(mounts(host.inventory()), mounts(inventory));
}

#[test]
fn a_root_that_is_a_mount_itself_is_unmounted_and_left_alone() {
    let host = guarded_host();
    host.shell(&format!(
        "mkdir -p {ROOT} /run/throwaway/disk; echo old >/run/throwaway/disk/data
         mount --bind /run/throwaway/disk {ROOT}"
    ));
    host.create_with("foo", &["--reuse-root"]);
    host.run(&["start", "foo"]);
    host.run(&["destroy", "foo"]);
    assert_eq!(host.shell("cat /run/throwaway/disk/data"), "old\n");
    host.shell(&format!("! mountpoint -q {ROOT} && ! [ -e {ROOT} ]"));
}

#[test]
fn only_init_can_say_that_the_system_is_ready() {
    let host = Host::new();
    // It keeps multi-user.target waiting.
    let system = system(
        "{ pkgs, ... }: { systemd.services.wait = {
            wantedBy = [ \"multi-user.target\" ];
            before = [ \"multi-user.target\" ];
            serviceConfig.Type = \"oneshot\";
            script = ''
              NOTIFY_SOCKET=/run/host/notify systemd-notify --ready --no-block
              touch /run/said
              while ! [ -e /run/go ]; do sleep 0.05; done
            '';
        }; }",
    );
    host.run(&["create", "foo", "--system-path", &system]);
    thread::scope(|scope| {
        let start = scope.spawn(|| host.try_run(&["start", "foo"]));
        await_run(&host, &["test", "-e", "/run/said"]);
        // A word of the supervisor would be here by the time this has entered.
        host.run(&["run", "foo", "--", "true"]);
        assert_eq!(host.run(&["status", "foo"]), "starting\n");
        assert!(!start.is_finished());
        host.run(&["run", "foo", "--", "touch", "/run/go"]);
        let start = start.join().expect("it ran");
        assert!(start.status.success(), "{start:?}");
    });
    assert_eq!(host.run(&["status", "foo"]), "up\n");
    host.run(&["destroy", "foo"]);
}

/// Waits until this command succeeds inside.
fn await_run(host: &Host, command: &[&str]) {
    let start = Instant::now();
    let arguments = [&["run", "foo", "--"], command].concat();
    while !host.try_run(&arguments).status.success() {
        assert!(start.elapsed() < PATIENCE, "{command:?} never succeeds");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_console_cannot_steer_the_terminal_that_an_error_is_shown_on() {
    let host = Host::new();
    let stderr = host.fail_to_start(
        "foo",
        "red \\033[31malert\\033[0m \\033]0;title\\007\\033[2J\\b\\r\\n\\302\\233x\\377 end",
    );
    assert!(stderr.contains("red alert"), "{stderr:?}");
    let steering = |c: char| c.is_control() && c != '\n';
    assert!(!stderr.contains(steering), "{stderr:?}");
}

#[test]
fn one_container_cannot_see_or_signal_the_processes_of_another() {
    let host = Host::new();
    host.create_and_start("foo");
    host.create_and_start("bar");
    let inside = |name: &str, script: &str| host.run(&["run", name, "--", "sh", "-c", script]);
    inside(
        "bar",
        "sleep 3600 >/dev/null 2>&1 </dev/null & echo $! >/run/pid",
    );
    let pid = inside("bar", "cat /run/pid");
    assert_eq!(inside("foo", "pgrep -c sleep || true"), "0\n");
    // Neither under its number nor with all that there are.
    inside(
        "foo",
        &format!(
            "kill -9 {} 2>/dev/null || true; kill -9 -1 || true",
            pid.trim()
        ),
    );
    assert_eq!(inside("bar", "pgrep -c sleep"), "1\n");
    assert_eq!(host.run(&["status", "bar"]), "up\n");
    succeed(&mut host.nixos_container(&["destroy", "foo", "bar"]));
}

/// The holder of a lease delays every open of the file (`man 2 fcntl`).
#[test]
fn who_enters_can_give_up_whatever_is_done_inside() {
    let host = Host::new();
    host.create_and_start("foo");
    let make_shell = "cp /run/current-system/sw/bin/true /slow
        echo slow:x:1000:1000::/:/slow >>/etc/passwd";
    host.run(&["run", "foo", "--", "sh", "-c", make_shell]);
    // F_SETLEASE, F_WRLCK
    let lease =
        "$SIG{IO} = sub {}; open my $file, \"<\", shift or die; fcntl $file, 1024, 1 or die;
        $| = 1; print \"held\\n\"; <STDIN>";
    let mut holder = Talk::begin(
        host.command("perl")
            .args(["-e", lease, &format!("{ROOT}/slow")]),
    );
    holder.await_words("held");
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut command = host.command("timeout");
        command.args([
            "--preserve-status",
            "--signal",
            signal,
            "--kill-after=20",
            "1",
        ]);
        command.args([
            env!("CARGO_BIN_EXE_nixos-container"),
            "enter",
            "foo",
            "--user=slow",
            "--",
            "x",
        ]);
        let output = command.output().expect("it runs");
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    holder.end();
    let freeze = |value| {
        host.shell(&format!(
            "echo {value} >$(find /sys/fs/cgroup -path '*nixos-container-foo*/entered')/cgroup.freeze"
        ))
    };
    freeze(1);
    let output = try_in_time(&host, &["run", "foo", "--", "true"]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.starts_with("error: container 'foo' is frozen, "),
        "{stderr}"
    );
    freeze(0);
    host.run(&["run", "foo", "--", "true"]);
}

/// Makes directories in each other, from the working directory of a script. In
/// the innermost runs what follows.
fn nest(name: &str, levels: usize) -> String {
    let make = format!("for (1..{levels}) {{ mkdir $_[0] or die; chdir $_[0] or die }}");
    format!("perl -e 'sub nest {{ {make} }} nest({name}); exec @ARGV if @ARGV' --")
}

/// The command with as many descriptors as most have.
fn run_with_few_descriptors(host: &Host, arguments: &[&str]) {
    let mut command = host.command("prlimit");
    command.args(["--nofile=1024", env!("CARGO_BIN_EXE_nixos-container")]);
    succeed(command.args(arguments));
}

#[test]
fn neither_depth_nor_attributes_keep_a_container_from_its_start_or_removal() {
    let host = Host::new();
    let before = host.inventory();
    let plant = format!(
        "mkdir -p {ROOT}/deep {ROOT}/locked {ROOT}/.removing.1; cd {ROOT}/deep; {}
         cd {ROOT}/locked; echo a >file; {}; chattr +i file; chattr -R +a below",
        nest("\"d\"", 3000),
        nest("\"below\"", 40),
    );
    host.create("foo");
    host.shell(&plant);
    let given = "PRIVATE_USERS=pick\nEXTRA_NSPAWN_FLAGS=--private-users-ownership=chown";
    host.append_conf("foo", given);
    run_with_few_descriptors(&host, &["start", "foo"]);
    // The innermost directory is of another user, too.
    let stat = "my $user; while (1) { $user = (stat \".\")[4]; chdir \"d\" or last } print $user";
    let user = host.shell(&format!("cd {ROOT}/deep; perl -e '{stat}'"));
    assert_ne!(user, "0");
    let create = [
        "create",
        "foo",
        "--force",
        "--system-path",
        minimal_system(),
    ];
    run_with_few_descriptors(&host, &create);
    host.shell(&plant);
    run_with_few_descriptors(&host, &["destroy", "foo"]);
    host.await_inventory(&before);
}

#[test]
fn cgroups_that_no_path_reaches_are_counted_and_go_with_their_container() {
    let host = Host::new();
    host.create_and_start("foo");
    let groups = || host.shell("find /sys/fs/cgroup -name nixos-container-foo");
    let nest = nest("\"x\" x 255", 40);
    // Whatever waits for the script's output waits until the memory is taken.
    let take_memory = r#"perl -e '
        open my $group, ">", "cgroup.procs" or die; print $group 0; close $group or die;
        my $memory = "x" x (1 << 27); close STDOUT; close STDERR; sleep 3600' &"#;
    host.shell(&format!(
        "cd {}/payload; mkdir -p wide-1/a wide-2/b/c wide-2/d threaded/threads
         echo threaded >threaded/threads/cgroup.type
         {nest} {take_memory}",
        groups().trim()
    ));
    let list = host.run(&["list", "--json"]);
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let memory = list[0]["memory"].as_u64();
    assert!(memory > Some(1 << 27), "{list}");
    // At once: in a shutdown, its systemd would remove them.
    host.run(&["terminate", "foo"]);
    assert_eq!(groups(), "");
    host.run(&["start", "foo"]);
    host.run(&["destroy", "--force", "foo"]);
}

/// Supervises a container as systemd does, and prints the status that systemd gets
/// after init has reported one with control sequences.
const REPORT_STATUS: &str = r#"
    python3 - <<'END'
import os, socket, struct, subprocess

program = os.environ["PROGRAM"]
systemd = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
systemd.settimeout(60)
systemd.bind("/run/throwaway/notify")
os.environ["NOTIFY_SOCKET"] = "/run/throwaway/notify"
nothing = subprocess.DEVNULL
supervisor = subprocess.Popen([program, "supervise", "foo"], stdout=nothing, stderr=nothing)

def received(part):
    while True:
        for line in systemd.recv(4096).decode().splitlines():
            if part in line:
                return line

received("READY=1")
parent = str(supervisor.pid)
init = int(subprocess.check_output(["pgrep", "-x", "systemd", "--parent", parent]))
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect("/run/nixos-containers/foo/notify")
sender = struct.pack("3i", init, 0, 0)
status = b"STATUS=all \x1b[31mis\x1b]0;title\x07 \x1b[2Jwell"
notify.sendmsg([status], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, sender)])
print(received("well"))
subprocess.check_call([program, "stop", "foo"])
supervisor.wait()
END
"#;

#[test]
fn status_of_init_cannot_control_a_terminal() {
    let host = Host::new();
    host.create("foo");
    let printed = host.shell(&format!(
        "export PROGRAM={}{REPORT_STATUS}",
        env!("CARGO_BIN_EXE_nixos-container")
    ));
    assert_eq!(printed, "STATUS=all is well\n");
}
