//! `enter`: a user of the container, by name or number; what its processes have
//! of the caller.

mod common;

use common::{Host, system};

const NIXOS_CONTAINER: &str = env!("CARGO_BIN_EXE_nixos-container");

#[test]
fn a_user_reaches_the_own_service_manager() {
    let host = host_with_users();
    let enter = ["enter", "foo", "--user", "alice", "--"];
    let command = |words: &[&'static str]| host.run(&[&enter[..], words].concat());
    let variables = "env | grep -E '^(XDG_RUNTIME_DIR|DBUS_)' || true";
    assert_eq!(command(&["sh", "-c", variables]), "");
    host.inside(
        "foo",
        "loginctl enable-linger alice; systemctl start user@1234",
    );
    assert_eq!(
        command(&["systemctl", "--user", "is-system-running"]),
        "running\n"
    );
    assert_eq!(
        command(&["sh", "-c", variables]),
        "XDG_RUNTIME_DIR=/run/user/1234\n"
    );
    // As a D-Bus of the user would be there.
    host.inside("foo", "touch /run/user/1234/bus");
    let bus = "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1234/bus\n";
    assert!(command(&["sh", "-c", variables]).contains(bus));
}

/// A host with a container `foo` that runs and has users of its own.
fn host_with_users() -> Host {
    let host = Host::new();
    let system = system(
        "{
            users.users.alice = { isNormalUser = true; uid = 1234; extraGroups = [ \"wheel\" ]; };
            users.users.daemon = { isSystemUser = true; uid = 321; group = \"users\"; };
        }",
    );
    host.create_of("foo", &system);
    host.run(&["start", "foo"]);
    host
}

#[test]
fn a_user_enters_as_that_user_of_the_container() {
    let host = host_with_users();
    let who = "echo $(id) in $(pwd) by $0, $USER $LOGNAME $HOME $SHELL";
    let alice = "uid=1234(alice) gid=100(users) groups=100(users),1(wheel) in /home/alice by sh, \
                 alice alice /home/alice /run/current-system/sw/bin/bash\n";
    let root = "uid=0(root) gid=0(root) groups=0(root) in /root by sh, \
                root root /root /run/current-system/sw/bin/bash\n";

    for (caller, options, expected) in [
        // Root is called root inside, too.
        ("", "", root),
        // Who has become root for this command is still the caller.
        ("SUDO_USER=alice", "", alice),
        ("DOAS_USER=alice", "", alice),
        ("SUDO_USER=alice", "--root", root),
        ("SUDO_USER=root", "--user alice", alice),
        ("", "--user 1234", alice),
        ("", "--user 0", root),
    ] {
        let script = format!("{caller} {NIXOS_CONTAINER} enter foo {options} -- sh -c '{who}'");
        assert_eq!(host.shell(&script), expected, "{caller} {options}");
    }

    // Without a command it is that user's login shell.
    let script = format!("echo 'id -un; shopt login_shell' | {NIXOS_CONTAINER} enter foo");
    let printed = host.shell(&format!("export SUDO_USER=alice; {script}"));
    assert_eq!(printed, "alice\nlogin_shell    \ton\n");

    // Nothing of root's is left: its groups, its capabilities, its files.
    let bounds = "grep -E '^(Cap(Inh|Prm|Eff|Amb)|Uid|Gid|Groups)' /proc/self/status; \
                  cat /etc/shadow; kill -0 1";
    let output = host.try_run(&["enter", "foo", "--user", "alice", "--", "sh", "-c", bounds]);
    let printed = String::from_utf8_lossy(&output.stdout);
    for line in printed.lines() {
        let none_of_roots = match line.split_once(':') {
            Some(("Uid" | "Gid" | "Groups", ids)) => !ids.split_whitespace().any(|id| id == "0"),
            Some((_, capabilities)) => capabilities.trim().trim_start_matches('0').is_empty(),
            None => false,
        };
        assert!(none_of_roots, "{line}");
    }
    assert_eq!(printed.lines().count(), 7, "{printed}");
    let refused = String::from_utf8_lossy(&output.stderr);
    assert_eq!(refused.matches("ermi").count(), 2, "{refused}");

    // A service's account says itself that it is no login.
    let output = host.try_run(&["enter", "foo", "--user", "daemon"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("not available"), "{said}");

    environment_can_be_set(&host);
    who_is_not_there_is_told(&host);
    nothing_of_the_callers_is_inherited(&host);
    what_confines_init_confines_whoever_enters(&host);
}

fn environment_can_be_set(host: &Host) {
    let mut options = vec!["enter", "foo", "--user", "alice"];
    // The last two are set at every login.
    for assignment in ["GREETING=it's a b=c", "EMPTY=", "LANG=xx", "HOME=/tmp"] {
        options.extend(["--set-env", assignment]);
    }
    let print = "printf '%s|' \"$GREETING\" \"${EMPTY-unset}\" $LANG $HOME $USER";
    options.extend(["--", "sh", "-c", print]);
    assert_eq!(host.run(&options), "it's a b=c||xx|/tmp|alice|");
    for (wrong, why) in [
        ("A", "expected KEY=VALUE"),
        ("=a", "expected KEY=VALUE"),
        ("1=a", "expected KEY=VALUE"),
        ("A-B=a", "expected KEY=VALUE"),
    ] {
        let stderr = host.fail(2, &["enter", "foo", "--set-env", wrong]);
        assert!(stderr.contains(why), "{wrong}: {stderr}");
    }
}

fn who_is_not_there_is_told(host: &Host) {
    let script = format!("SUDO_USER=bob {NIXOS_CONTAINER} enter foo 2>&1 || echo code $?");
    assert_eq!(
        host.shell(&script),
        "error: container 'foo' has no user 'bob' (your user on the host); enter it as its root with \
         `nixos-container enter --root foo`\ncode 1\n"
    );
    for user in ["bob", "4294967295", "1235", ""] {
        assert_eq!(
            host.fail(1, &["enter", "foo", "--user", user]),
            format!(
                "error: container 'foo' has no user '{user}'; `nixos-container run foo -- getent \
                 passwd` lists those it has\n"
            )
        );
    }
    host.fail(2, &["enter", "foo", "--user", "alice", "--root"]);
}

fn nothing_of_the_callers_is_inherited(host: &Host) {
    let limits = "tail -n +2 /proc/PID/limits | grep -v 'Max open files'; cat /proc/PID/oom_score_adj; \
                  grep -E '^(Cpus_allowed_list|NoNewPrivs)' /proc/PID/status; \
                  cut -d' ' -f 18,19,40,41 /proc/PID/stat; ionice -p PID";
    let inits = host.run(&["run", "foo", "--", "sh", "-c", &limits.replace("PID", "1")]);
    assert!(inits.contains("Max core file size"), "{inits}");
    let own = limits.replace("PID", "$$");
    let script = format!(
        "ulimit -S -c 1 -u 5000 -f 4000000 -n 64; umask 077
         exec nice -n 7 ionice -c 3 taskset -c 0 choom -n 500 -- \
             {NIXOS_CONTAINER} run foo -- sh -c \"{}; ulimit -Sn; umask\"",
        own.replace('$', "\\$")
    );
    assert_eq!(host.shell(&script), format!("{inits}1024\n0022\n"));
}

fn what_confines_init_confines_whoever_enters(host: &Host) {
    let flags = "--no-new-privileges=yes --personality=x86 --oom-score-adjust=77 \
                 --drop-capability=CAP_SYS_CHROOT --cpu-affinity=0 --rlimit=CPU=1000";
    host.run(&["stop", "foo"]);
    host.append_conf("foo", &format!("EXTRA_NSPAWN_FLAGS=\"{flags}\""));
    host.run(&["start", "foo"]);
    let bounds = "grep -E '^(NoNewPrivs|CapBnd|Cpus_allowed_list)' /proc/PID/status; \
                  cat /proc/PID/personality /proc/PID/oom_score_adj; \
                  grep 'Max cpu' /proc/PID/limits";
    let bounds_of = |pid: &str| {
        let script = bounds.replace("PID", pid);
        host.run(&["run", "foo", "--", "sh", "-c", &script])
    };
    assert_eq!(bounds_of("self"), bounds_of("1"));
    assert!(bounds_of("1").contains("NoNewPrivs:\t1"));
    assert_eq!(host.run(&["run", "foo", "--", "uname", "-m"]), "i686\n");
}

#[test]
fn the_host_key_is_the_ssh_servers() {
    let host = Host::new();
    let system = system("{ services.openssh.enable = true; }");
    host.create_of("foo", &system);
    let none = "error: container 'foo' has no host key; it gets one when it first starts with \
                services.openssh.enable = true\n";
    assert_eq!(host.fail(1, &["show-host-key", "foo"]), none);
    host.run(&["start", "foo"]);
    let key = host.run(&["show-host-key", "foo"]);
    let scan = "ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null | sed -n 's/^127[^ ]* ssh-/ssh-/p'";
    let served = host.run(&["run", "foo", "--", "sh", "-c", scan]);
    assert_eq!(key.trim(), served.trim());
    host.run(&["stop", "foo"]);
    assert_eq!(host.run(&["show-host-key", "foo"]), key);

    // Where there is none of that kind, the other will do. What is not the
    // container's or not a key is not shown.
    let plant = |script: &str| {
        let root = host.place("STATE_DIR").join("foo/etc/ssh");
        host.shell(&format!("cd {}; {script}", root.display()));
    };
    plant("rm ssh_host_ed25519_key.pub; echo ecdsa-sha2-nistp256 AAAA >ssh_host_ecdsa_key.pub");
    assert_eq!(
        host.run(&["show-host-key", "foo"]),
        "ecdsa-sha2-nistp256 AAAA\n"
    );
    for script in [
        "ln -sf /etc/passwd ssh_host_ecdsa_key.pub",
        "rm ssh_host_ecdsa_key.pub; mkfifo ssh_host_ecdsa_key.pub",
        "rm ssh_host_ecdsa_key.pub; printf 'ssh-ed25519 \\033[2J\\n' >ssh_host_ecdsa_key.pub",
    ] {
        plant(script);
        let printed = host.try_run(&["show-host-key", "foo"]).stdout;
        let printed = String::from_utf8_lossy(&printed).into_owned();
        // The container's own passwd, at most: never the host's.
        assert!(
            !printed.contains('\u{1b}') && !printed.contains("daemon:x:1:1"),
            "{printed}"
        );
    }
}
