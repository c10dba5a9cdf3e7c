//! Commands that change nothing: list, status, show-ip, logs, explain, help.

mod common;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use common::talk::{Talk, at_terminal};
use common::{Host, PATIENCE, PROGRAM, minimal_system, system};
use serde_json::Value;

/// What `status` says, and whether it succeeds.
fn status_and_code(host: &Host, name: &str) -> (String, Option<i32>) {
    let output = host.try_run(&["status", name]);
    let word = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (word, output.status.code())
}

/// A command that goes on in the background, and is killed when it is stuck.
fn begin(command: &Command) -> Child {
    Command::new("timeout")
        .arg("--signal=KILL")
        .arg(PATIENCE.as_secs().to_string())
        .arg(command.get_program())
        .args(command.get_args())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs")
}

#[test]
fn list_names_all_containers_sorted_and_nothing_else() {
    let host = Host::new();
    assert_eq!(host.run(&["list"]), "");
    for name in ["web", "b", "a10", "a-2", "Z", "a"] {
        host.write_conf(name, "PRIVATE_NETWORK=1");
    }
    for file in [
        // Of other tools that share /etc/containers (man 5 containers.conf).
        "containers.conf",
        "libpod.conf",
        "registries.conf",
        "storage.conf",
        // Of no tool.
        ".hidden.conf",
        ".new.creating",
        "web.conf~",
        "web.conf.bak",
        "README",
        "no name.conf",
        "-dash.conf",
        ".conf",
    ] {
        host.shell(&format!("touch \"$NIXOS_CONTAINER_CONF_DIR/{file}\""));
    }
    assert_eq!(host.run(&["list"]), "Z\na\na-2\na10\nb\nweb\n");
}

#[test]
fn status_is_gone_down_starting_up_or_stopping() {
    let host = Host::new();
    let gated = system(
        "{ systemd.services.gate = {
             wantedBy = [ \"multi-user.target\" ];
             serviceConfig = { Type = \"oneshot\"; RemainAfterExit = true; };
             script = \"mkfifo /run/start /run/stop; read word </run/start\";
             preStop = \"read word </run/stop\";
           }; }",
    );
    // At its beginning the first boot has no shell yet.
    let open = |gate: &str| {
        host.shell(&format!(
            "open='until [ -p {gate} ]; do sleep 0.01; done; echo open >{gate}'
             until {} run foo -- timeout 60 sh -c \"$open\" 2>\"$TMPDIR/errors\"; do
                 grep -q 'login shell' \"$TMPDIR/errors\" || {{ cat \"$TMPDIR/errors\" >&2; exit 1; }}
             done",
            env!("CARGO_BIN_EXE_nixos-container")
        ));
    };
    let is = |word: &str| (word.to_owned(), Some(0));
    assert_eq!(status_and_code(&host, "foo"), ("gone".to_owned(), Some(2)));
    host.run(&["create", "foo", "--system-path", &gated]);
    assert_eq!(status_and_code(&host, "foo"), is("down"));

    let mut start = begin(&host.nixos_container(&["start", "foo"]));
    host.await_status("foo", "starting");
    assert!(start.try_wait().expect("waitable").is_none());
    open("/run/start");
    assert!(start.wait().expect("waitable").success());
    assert_eq!(status_and_code(&host, "foo"), is("up"));

    let mut stop = begin(&host.nixos_container(&["stop", "foo"]));
    host.await_status("foo", "stopping");
    assert!(stop.try_wait().expect("waitable").is_none());
    open("/run/stop");
    assert!(stop.wait().expect("waitable").success());
    assert_eq!(status_and_code(&host, "foo"), is("down"));
    host.run(&["destroy", "foo"]);
    assert_eq!(status_and_code(&host, "foo"), ("gone".to_owned(), Some(2)));
}

#[test]
fn show_ip_prints_the_address_alone() {
    let host = Host::new();
    let show = |conf: &str| {
        host.write_conf("foo", conf);
        host.run(&["show-ip", "foo"])
    };
    assert_eq!(show("LOCAL_ADDRESS=10.1.2.3"), "10.1.2.3\n");
    assert_eq!(show("LOCAL_ADDRESS=10.1.2.3/24"), "10.1.2.3\n");
    assert_eq!(show("LOCAL_ADDRESS6=fc00::2/64"), "fc00::2\n");
    assert_eq!(
        show("LOCAL_ADDRESS6=fc00::2\nLOCAL_ADDRESS=10.1.2.3"),
        "10.1.2.3\n"
    );
    host.write_conf("foo", "PRIVATE_NETWORK=1");
    let stderr = host.fail(1, &["show-ip", "foo"]);
    assert!(
        stderr.contains("container 'foo' has no address"),
        "{stderr}"
    );
    let stderr = host.fail(2, &["show-ip", "bar"]);
    assert!(
        stderr.contains("container 'bar' does not exist"),
        "{stderr}"
    );
}

#[test]
fn what_runs_is_told_as_it_is() {
    let host = Host::new();
    host.create_and_start("foo");
    host.offer_program();
    let show = |command: &mut std::process::Command| common::succeed(command);
    let as_user = |words: &[&str]| {
        let mut command = host.command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", PROGRAM]);
        command.args(words);
        command
    };
    for line in ["LOCAL_ADDRESS=10.9.9.9", "LOCAL_ADDRESS=", "nonsense"] {
        host.append_conf("foo", line);
        assert_eq!(host.run(&["show-ip", "foo"]), "10.233.1.2\n", "{line}");
        assert_eq!(show(&mut as_user(&["show-ip", "foo"])), "10.233.1.2\n");
        let list = host.run(&["list", "--json"]);
        assert!(
            list.contains("\"address\": \"10.233.1.2\""),
            "{line}: {list}"
        );
    }
    host.write_conf("foo", "PRIVATE_NETWORK=1\nLOCAL_ADDRESS=10.9.9.9");
    host.run(&["stop", "foo"]);
    assert_eq!(host.run(&["show-ip", "foo"]), "10.9.9.9\n");
}

#[test]
fn an_address_that_the_network_gives_is_that_of_the_link() {
    let host = Host::new();
    host.shell("ip link add br0 up type bridge");
    host.run(&[
        "create",
        "foo",
        "--bridge",
        "br0",
        "--system-path",
        minimal_system(),
    ]);
    host.run(&["start", "foo"]);
    assert_eq!(
        host.fail(1, &["show-ip", "foo"]),
        "error: container 'foo' has no address: it was started without one, and its links have \
         none\n"
    );
    // As a DHCP client does.
    host.inside("foo", "ip address add fd00::7/64 dev eth0 nodad");
    assert_eq!(host.run(&["show-ip", "foo"]), "fd00::7\n");
    host.inside("foo", "ip address add 192.0.2.7/24 dev eth0");
    assert_eq!(host.run(&["show-ip", "foo"]), "192.0.2.7\n");
    let list = host.run(&["list", "--json"]);
    for address in ["\"address\": \"192.0.2.7\"", "\"address6\": \"fd00::7\""] {
        assert!(list.contains(address), "{list}");
    }
    // Those of the host are not the container's.
    let system = ["--system-path", minimal_system()];
    host.run(&[&["create", "bar", "--use-host-network"], &system[..]].concat());
    host.shell("ip address add 192.0.2.1/24 dev br0");
    host.run(&["start", "bar"]);
    host.fail(1, &["show-ip", "bar"]);
    // What the host has given counts more than what is set inside.
    host.create_and_start("baz");
    host.inside(
        "baz",
        "ip address flush dev eth0; ip address add 192.0.2.9/24 dev eth0",
    );
    assert_ne!(host.run(&["show-ip", "baz"]), "192.0.2.9\n");
}

#[test]
fn logs_are_what_the_container_wrote_to_its_console() {
    let host = Host::new();
    let stderr = host.fail(2, &["logs", "foo"]);
    assert!(
        stderr.contains("container 'foo' does not exist"),
        "{stderr}"
    );
    host.create("foo");
    let stderr = host.fail(1, &["logs", "foo"]);
    assert!(stderr.contains("has not been started"), "{stderr}");

    host.run(&["start", "foo"]);
    let say = |words: &str| {
        // Getty may wipe out what is there when it takes over the console.
        host.await_log("foo", "login:");
        let script = format!("echo {words} >/dev/console");
        host.run(&["run", "foo", "--", "sh", "-c", &script]);
    };
    say("first life");
    let logs = host.await_log("foo", "first life");
    assert!(logs.contains("<<< NixOS Stage 2 >>>"), "{logs}");
    assert!(logs.contains("basic.target"), "{logs}");

    host.run(&["stop", "foo"]);
    let logs = host.run(&["logs", "foo"]);
    assert!(logs.contains("first life"), "{logs}");
    assert!(logs.contains("Halting system."), "{logs}");

    host.run(&["start", "foo"]);
    say("second life");
    let logs = host.await_log("foo", "second life");
    assert!(!logs.contains("first life"), "{logs}");
}

#[test]
fn logs_follow_a_container_to_its_end() {
    let host = Host::new();
    host.create_and_start("foo");
    host.await_log("foo", "login:");
    let mut logs = begin(&host.nixos_container(&["logs", "--follow", "foo"]));
    let mut output = BufReader::new(logs.stdout.take().expect("piped"));
    let mut until = |words: &str| {
        let mut line = String::new();
        while !line.contains(words) {
            line.clear();
            let length = output.read_line(&mut line).expect("readable");
            assert!(length > 0, "ended before {words:?}");
        }
    };
    until("basic.target");
    let script = "echo said meanwhile >/dev/console";
    host.run(&["run", "foo", "--", "sh", "-c", script]);
    until("said meanwhile");
    host.run(&["stop", "foo"]);
    until("Halting system.");
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("readable");
    assert!(logs.wait().expect("waitable").success());
    // Nothing to wait for.
    assert!(host.run(&["logs", "-f", "foo"]).contains("Halting system."));
}

/// One user of the host may have few inotify instances (`man 7 inotify`).
#[test]
fn logs_need_an_inotify_instance_only_to_follow() {
    let host = Host::new();
    host.create_and_start("foo");
    host.offer_program();
    host.await_log("foo", "basic.target");
    let without = |options: &str| {
        let limit = "echo 0 >/proc/sys/user/max_inotify_instances";
        host.command("unshare")
            .args(["--user", "--map-root-user", "sh", "-c"])
            .arg(format!("{limit}; {PROGRAM} logs {options} foo"))
            .output()
            .expect("it runs")
    };
    let printed = without("");
    assert!(printed.status.success(), "{printed:?}");
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.contains("basic.target"), "{printed}");
    let refused = without("--follow");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("fs.inotify.max_user_instances"), "{said}");
}

#[test]
fn logs_at_a_terminal_cannot_steer_it() {
    let host = Host::new();
    host.fail_to_start(
        "foo",
        "red \\033[31malert\\033[0m \\033]52;c;eA==\\007\\033[6n\\033[2J\\b end\\n",
    );
    let logs = format!("{} logs foo", env!("CARGO_BIN_EXE_nixos-container"));
    let (code, lines) = Talk::begin(&at_terminal(&host, &logs)).end();
    assert_eq!(code, Some(0));
    assert_eq!(lines, ["red \x1b[31malert\x1b[0m  end"]);
    // A program may want all of it.
    assert_eq!(
        host.run(&["logs", "foo"]),
        "red \x1b[31malert\x1b[0m \x1b]52;c;eA==\x07\x1b[6n\x1b[2J\x08 end\r\n"
    );
}

#[test]
fn explain_names_a_manual_page_for_every_step() {
    let host = Host::new();
    host.create("foo");
    let text = host.run(&["explain", "foo"]);
    let steps: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim_start().split_once("  "))
        .filter(|(number, _)| number.parse::<u32>().is_ok())
        .map(|(_, step)| step)
        .collect();
    let numbered = explain(&host)["steps"].as_array().map_or(0, Vec::len);
    assert!(steps.len() > numbered, "{text}");
    for step in &steps {
        let (_, manual) = step.rsplit_once("  ").expect("two columns");
        // A page's name and its section, as in `man 7 man-pages`.
        let section = manual.split(['(', ')']).nth(1).unwrap_or_default();
        assert!(matches!(section, "2" | "4" | "5" | "7" | "8"), "{step}");
    }
    let says = |words: &str| steps.iter().any(|step| step.starts_with(words));
    assert!(says("execute /nix/var/nix/profiles/system/init"), "{text}");
    assert!(says("add address 10.233.1.2/32 to eth0"), "{text}");
    assert!(text.contains("container 'foo'"), "{text}");
    let stderr = host.fail(2, &["explain", "bar"]);
    assert!(
        stderr.contains("container 'bar' does not exist"),
        "{stderr}"
    );
}

fn explain(host: &Host) -> Value {
    let text = host.run(&["explain", "--json", "foo"]);
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn explain_in_json_is_the_container_namespaces_network_and_steps() {
    let host = Host::new();
    host.write_conf(
        "foo",
        &format!("SYSTEM_PATH={}\nPRIVATE_NETWORK=1", minimal_system()),
    );
    let whole = explain(&host);
    let keys: Vec<_> = whole.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "chown_trees",
            "container",
            "host_steps",
            "namespaces",
            "network",
            "steps"
        ]
    );
    assert_eq!(whole["container"], "foo");
    assert_eq!(
        whole["namespaces"],
        serde_json::json!(["mount", "pid", "uts", "ipc", "net"])
    );
    let last = whole["steps"].as_array().and_then(|steps| steps.last());
    let last = last.expect("steps");
    assert_eq!(last["step"], "exec");
    assert_eq!(last["program"], format!("{}/init", minimal_system()));

    host.write_conf(
        "foo",
        &format!("SYSTEM_PATH={}\nPRIVATE_NETWORK=0", minimal_system()),
    );
    let whole = explain(&host);
    assert_eq!(whole["network"], serde_json::json!([]));
    assert_eq!(
        whole["namespaces"],
        serde_json::json!(["mount", "pid", "uts", "ipc"])
    );
    assert_eq!(
        host.inventory()
            .iter()
            .filter(|line| line.starts_with("cgroup"))
            .count(),
        0
    );
}

#[test]
fn what_explain_mounts_is_what_is_mounted() {
    let host = Host::new();
    host.create("foo");
    let explained = explain(&host);
    host.run(&["start", "foo"]);

    // Steps without a target of their own.
    let mut expected = BTreeSet::from(["/".to_owned(), "/dev/console".to_owned()]);
    let mut if_present = Vec::new();
    for step in explained["steps"].as_array().expect("an array") {
        let target = || step["target"].as_str().expect("a path").to_owned();
        match step["step"].as_str().expect("a name") {
            "mount" => drop(expected.insert(target())),
            "bind" if step["optional"] == false => drop(expected.insert(target())),
            "bind" | "hide" => if_present.push(target()),
            _ => {}
        }
    }
    let script = "for path; do if [ -e \"$path\" ]; then echo \"$path\"; fi; done";
    let words = ["run", "foo", "--", "sh", "-c", script, "sh"];
    let if_present: Vec<_> = if_present.iter().map(String::as_str).collect();
    let present = host.run(&[&words, &if_present[..]].concat());
    expected.extend(present.lines().map(str::to_owned));

    let mountinfo = host.run(&["run", "foo", "--", "cat", "/proc/self/mountinfo"]);
    let mounted: BTreeSet<_> = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        // What systemd gives its services, and what NixOS' activation mounts.
        .filter(|target| !target.starts_with("/run/credentials") && *target != "/run/keys")
        .map(str::to_owned)
        .collect();
    let missing: Vec<_> = expected.difference(&mounted).collect();
    let further: Vec<_> = mounted.difference(&expected).collect();
    assert!(
        missing.is_empty() && further.is_empty(),
        "explained and not mounted: {missing:?}\nmounted and not explained: {further:?}"
    );
}

/// `list | head`: who has seen enough closes the pipe.
#[test]
fn a_command_whose_output_nobody_reads_ends_without_a_word() {
    let host = Host::new();
    host.create_and_start("foo");
    for command in [
        &["list"][..],
        &["status", "foo"],
        &["show-ip", "foo"],
        &["logs", "foo"],
        &["explain", "foo"],
        &["explain", "--json", "foo"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = host
            .nixos_container(command)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .expect("it runs");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, "", "{command:?}");
    }
}

#[test]
fn help_tells_every_command_and_its_options() {
    let host = Host::new();
    let all = host.run(&["--help"]);
    for (command, options) in [
        ("list", &[][..]),
        (
            "create",
            &[
                "--config",
                "--config-file",
                "--nixos-path",
                "--system-path",
                "--ensure-unique-name",
                "--host-address",
                "--local-address",
            ],
        ),
        ("start", &[]),
        ("stop", &["--timeout"]),
        ("terminate", &["--signal"]),
        ("restart", &[]),
        ("status", &[]),
        ("run", &["<COMMAND>..."]),
        ("root-login", &[]),
        ("show-ip", &[]),
        ("logs", &["--follow", "-f"]),
        ("explain", &["--json"]),
        ("destroy", &["--force"]),
    ] {
        assert!(all.contains(&format!("\n  {command} ")), "{command}: {all}");
        let help = host.run(&[command, "--help"]);
        for option in options {
            assert!(help.contains(option), "{command} {option}: {help}");
        }
    }
    assert!(!all.contains("supervise"), "{all}");
    let version = concat!("nixos-container ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(host.run(&["--version"]), version);
}
