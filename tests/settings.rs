//! Settings of the configuration file.

mod common;

use common::{Host, minimal_system};

/// The words of `create` with a system that is built already.
fn create<'a>(name: &'a str, options: &[&'a str]) -> Vec<&'a str> {
    let words = ["create", name, "--system-path", minimal_system()];
    [&words, options].concat()
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
