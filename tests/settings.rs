//! `create` with settings of the configuration file, `edit` and `check`.

mod common;

use common::talk::{Talk, at_terminal};
use common::{Host, minimal_system};

/// The words of `create` with a system that is built already.
fn create<'a>(name: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let words = ["create", name, "--system-path", minimal_system()];
    [&words, options].concat()
}

/// Runs `edit foo` with this shell script for an editor, which gets the file as `$1`;
/// the exit code and what was printed to standard error.
fn edit(host: &Host, script: &str) -> (Option<i32>, String) {
    host.shell(&format!(
        "mkdir -p '/run/throwaway/my editor'
         cat >'/run/throwaway/my editor/edit' <<'END'\n#!/bin/sh\nset -e\n{script}\nEND
         chmod +x '/run/throwaway/my editor/edit'"
    ));
    let mut command = host.command("env");
    command.args([
        "VISUAL='/run/throwaway/my editor/edit'",
        "EDITOR=false",
        env!("CARGO_BIN_EXE_nixos-container"),
        "edit",
        "foo",
    ]);
    let output = command.output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), stderr)
}

#[test]
fn create_says_all_that_a_conf_can() {
    let host = Host::new();
    host.shell("mkdir -p '/run/throwaway/my data' /run/throwaway/more; echo mine >'/run/throwaway/my data/file'");
    host.run(&create(
        "foo",
        &[
            "--bind",
            "/run/throwaway/my data:/data",
            "--bind=/run/throwaway/more",
            "--bind-ro",
            "/run/throwaway/more:/ro",
            "--tmpfs",
            "/scratch:size=1m",
            "--tmpfs=/cache",
            "--private-users",
            "no",
            "--capability",
            "CAP_SYS_TIME",
            "--capability=CAP_SYSLOG",
            "--device",
            "/dev/full rw",
            "--device",
            "char-input",
            "--memory",
            "512M",
            "--cpus",
            "1.5",
            "--tasks",
            "500",
            "--env",
            "WORDS=a b",
            "--env=QUOTED=it's \"so\"",
            "--hostname",
            "other",
            "--nspawn-flag=--rlimit=RLIMIT_NOFILE=100",
            "--nspawn-flag",
            "-E X=y",
        ],
    ));
    host.remove_from_conf("foo", "NAT");
    let conf = host.conf("foo");
    for line in [
        "\nPRIVATE_USERS=no\n",
        "\nADDITIONAL_CAPABILITIES=CAP_SYS_TIME,CAP_SYSLOG\n",
        "\nALLOWED_DEVICES=\"/dev/full rw,char-input\"\n",
        "\nMEMORY_MAX=512M\n",
        "\nCPU_QUOTA=150%\n",
        "\nTASKS_MAX=500\n",
        "\nTMPFS=\"/scratch:size=1m /cache\"\n",
    ] {
        assert!(conf.contains(line), "{line} in {conf}");
    }
    // The minimal system sets a host name of its own.
    assert!(conf.contains(" --hostname=other "), "{conf}");
    host.run(&["start", "foo"]);
    let inside = |script: &str| host.inside("foo", script);
    assert_eq!(inside("cat /data/file"), "mine\n");
    inside("test -d /run/throwaway/more; ! touch /ro/new 2>/dev/null; touch /data/new");
    let environment = inside("tr '\\0' '\\n' </proc/1/environ");
    for variable in ["\nWORDS=a b\n", "\nQUOTED=it's \"so\"\n", "\nX=y\n"] {
        assert!(
            environment.contains(variable),
            "{variable} in {environment}"
        );
    }
    let limits = inside("grep 'open files' /proc/1/limits");
    assert!(limits.contains(" 100 "), "{limits}");
    assert_eq!(inside("stat -f -c %T /scratch /cache"), "tmpfs\ntmpfs\n");
}

#[test]
fn a_setting_is_checked_by_what_reads_the_conf() {
    let host = Host::new();
    let before = host.inventory();
    for (option, value, expected) in [
        ("--bind", "data", "SOURCE[:TARGET[:OPTIONS]]"),
        ("--bind-ro", "data", "SOURCE[:TARGET[:OPTIONS]]"),
        ("--tmpfs", "var", "PATH[:OPTIONS]"),
        ("--device", "fuse", "devices separated by commas"),
        ("--private-users", "some", "no, yes, identity, pick"),
        (
            "--capability",
            "CAP_FLY",
            "capabilities separated by commas",
        ),
        ("--memory", "much", "BYTES"),
        ("--cpus", "many", "PERCENT of one processor's time"),
        ("--tasks", "-1", "expected NUMBER"),
        ("--env", "1=a", "a variable's name, or NAME=VALUE"),
        ("--hostname", "a_b", "a host name"),
        (
            "--nspawn-flag",
            "--fly",
            "--fly is not a flag of systemd-nspawn(1)",
        ),
    ] {
        let option = format!("{option}={value}");
        let stderr = host.fail(2, &create("foo", &[&option]));
        assert!(stderr.contains(expected), "{option}: {stderr}");
    }
    let stderr = host.fail(1, &create("foo", &["--untrusted", "--device", "/dev/kvm"]));
    assert!(
        stderr.contains("UNTRUSTED=1 and ALLOWED_DEVICES exclude each other"),
        "{stderr}"
    );
    host.await_inventory(&before);
}

#[test]
fn an_edited_conf_is_checked_before_it_counts() {
    let host = Host::new();
    host.create("foo");
    let before = host.conf("foo");
    let conf = host.conf_path("foo");
    for script in ["echo HOST_ADDRESS=here >>\"$1\"", "echo nonsense >>\"$1\""] {
        let (code, stderr) = edit(&host, script);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(
            stderr.starts_with(&format!("error: {conf}:"))
                && stderr.contains("nothing was changed"),
            "{stderr}"
        );
        assert_eq!(host.conf("foo"), before);
    }
    let (code, stderr) = edit(&host, "echo MEMORY_MAX=1G >>\"$1\"; exit 3");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("nothing was changed"), "{stderr}");
    assert_eq!(host.conf("foo"), before);
    let (code, stderr) = edit(&host, "true");
    assert_eq!(
        (code, stderr.as_str()),
        (Some(0), "note: nothing was changed\n")
    );
    let (code, stderr) = edit(
        &host,
        "case $1 in *.conf) ;; *) exit 1;; esac; echo MEMORY_MAX=1G >>\"$1\"",
    );
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(host.conf("foo"), format!("{before}MEMORY_MAX=1G\n"));
    assert_eq!(host.shell(&format!("stat -c %a {conf}")), "644\n");
    // What the host lacks may come before the start.
    let (code, stderr) = edit(&host, "sed -i s/^HOST_BRIDGE=.*/HOST_BRIDGE=br9/ \"$1\"");
    assert_eq!(code, Some(0));
    assert!(
        stderr.starts_with("note: container 'foo' would not start: ") && stderr.contains("br9"),
        "{stderr}"
    );
    assert!(host.conf("foo").contains("HOST_BRIDGE=br9\n"));
    let names = host.shell("ls -A $NIXOS_CONTAINER_CONF_DIR");
    assert_eq!(names, "foo.conf\n");
}

#[test]
fn an_edit_says_whether_a_restart_is_needed() {
    let host = Host::new();
    host.create_and_start("foo");
    let (_, stderr) = edit(&host, "echo AUTO_START=1 >>\"$1\"");
    assert_eq!(stderr, "");
    let (_, stderr) = edit(&host, "echo MEMORY_MAX=1G >>\"$1\"");
    assert_eq!(
        stderr,
        "note: container 'foo' is running; `nixos-container restart foo` applies the change\n"
    );
    let conf = host.conf_path("foo");
    host.shell(&format!(
        "mount --bind {conf} {conf}; mount -o remount,bind,ro {conf}"
    ));
    let (code, stderr) = edit(&host, "true");
    assert_eq!(code, Some(1));
    assert!(stderr.contains("stays as it is"), "{stderr}");
}

#[test]
fn a_check_says_what_a_start_would() {
    let host = Host::new();
    host.run(&create(
        "foo",
        &["--port", "8080:80", "--private-users", "pick"],
    ));
    host.run(&create("bar", &["--port", "8080:80"]));
    let before = host.inventory();
    host.run(&["check", "foo"]);
    host.await_inventory(&before);
    host.run(&["start", "foo"]);
    host.run(&["check", "foo"]);
    let of_start = host.fail(1, &["start", "bar"]);
    let of_check = host.fail(1, &["check", "bar"]);
    let cause = of_start.split(['\'', ';']).nth(2).expect("a cause");
    assert!(
        cause.contains("8080") && of_check.contains(cause),
        "{of_check}{of_start}"
    );
    // What a running container has of the host is no obstacle to its next start.
    host.shell("ip link add card type veth peer other");
    host.append_conf("foo", "INTERFACES=card");
    host.run(&["restart", "foo"]);
    host.run(&["check", "foo"]);
    host.append_conf("bar", "EXTRA_NSPAWN_FLAGS=--bind=/nowhere");
    let stderr = host.fail(78, &["check", "bar"]);
    assert!(
        stderr.contains("/nowhere does not exist on the host"),
        "{stderr}"
    );
    host.append_conf("bar", "HOST_ADDRESS=here");
    let stderr = host.fail(78, &["check", "bar"]);
    assert!(stderr.contains("HOST_ADDRESS is \"here\""), "{stderr}");
    host.fail(2, &["check", "none"]);
}

#[test]
fn at_a_terminal_a_wrong_conf_can_be_edited_again() {
    let host = Host::new();
    host.create("foo");
    let before = host.conf("foo");
    // Each time, the next line of the script is added.
    host.shell(
        "cat >/run/throwaway/editor <<'END'
#!/bin/sh
head -n 1 /run/throwaway/lines >>\"$1\"
sed -i 1d /run/throwaway/lines
END
         chmod +x /run/throwaway/editor
         printf 'NAT=x\\nNAT=1\\nNAT=y\\n' >/run/throwaway/lines",
    );
    let script = format!(
        "VISUAL= EDITOR=/run/throwaway/editor {} edit foo",
        env!("CARGO_BIN_EXE_nixos-container")
    );
    let mut talk = Talk::begin(&at_terminal(&host, &script));
    talk.await_words("Edit it again? [Y/n] ");
    talk.say("");
    assert_eq!(talk.end().0, Some(0));
    let edited = format!("{before}NAT=x\nNAT=1\n");
    assert_eq!(host.conf("foo"), edited);
    let mut talk = Talk::begin(&at_terminal(&host, &script));
    talk.await_words("Edit it again? [Y/n] ");
    talk.say("n");
    assert_eq!(talk.end().0, Some(1));
    assert_eq!(host.conf("foo"), edited);
}
