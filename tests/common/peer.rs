//! A program as the init of a container of ours and of systemd-nspawn's, with
//! next to nothing around it.

use super::Host;

/// Makes a root directory of nothing but a user.
pub const ROOT: &str = "
    rm -rf $root
    mkdir -p $root/{etc,usr/bin,dev,nix/store,proc,root,run,sys,tmp,var}
    touch $root/etc/os-release
    echo own >$root/etc/localtime
    echo alice:x:1000:100::/home/alice:/bin/sh >$root/etc/passwd
    printf '%s\\n' users:x:100: extra:x:7:alice >$root/etc/group";

/// The environment of the process that starts the container.
const CALLER: &str = "mkdir -p /run/own; echo from outside >/run/own/given
    GIVEN=outside CREDENTIALS_DIRECTORY=/run/own";

/// `man 1 getent`, as far as systemd-nspawn calls it.
const GETENT: &str = "
    case $1 in
        passwd) grep -E \"^$2:|:x:$2:\" /etc/passwd ;;
        initgroups) echo $2 100 7 ;;
    esac";

/// Quoted, so that nothing but a quote has a meaning of its own.
pub fn flags_in_conf(flags: &str) -> String {
    format!("EXTRA_NSPAWN_FLAGS='{flags}'")
}

/// Runs a container whose init this is, to its end; what it printed.
pub fn run_here(host: &Host, system: &str, conf: &str) -> String {
    host.write_conf("foo", &format!("SYSTEM_PATH={system}\n{conf}"));
    host.shell(&format!(
        "mkdir -p $NIXOS_CONTAINER_STATE_DIR
         root=$NIXOS_CONTAINER_STATE_DIR/foo
         {ROOT}
         {CALLER} {} supervise foo </dev/null | tr -d '\\r'",
        env!("CARGO_BIN_EXE_nixos-container")
    ))
}

/// The same, run by systemd-nspawn; the flags are split into words as nixpkgs'
/// unit has it done.
pub fn run_by_nspawn(host: &Host, system: &str, flags: &str) -> String {
    host.shell(&format!(
        "flags=$(cat <<'END'\n{flags}\nEND\n)
         set -f
         root=/run/throwaway/peer
         {ROOT}
         # It asks a program inside for users.
         head -n 1 {system}/init >$root/usr/bin/getent
         cat >>$root/usr/bin/getent <<'END'\n{GETENT}\nEND
         chmod +x $root/usr/bin/getent
         {CALLER} SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
             systemd-nspawn --quiet --keep-unit --register=no -M peer -D $root --bind-ro=/nix/store \
             $flags {system}/init </dev/null 2>&1 | tr -d '\\r'"
    ))
}

/// What a container with these flags prints whose init is nothing but a script.
/// Its root directory is made by `root`, a script of the host that is in it.
pub fn shown(host: &Host, root: &str, flags: &str, script: &str) -> String {
    prepare(host, root, flags, script);
    let output = host.nixos_container(&["supervise", "foo"]).output();
    let output = output.expect("it runs");
    // A terminal ends its lines with two characters.
    let stdout = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{flags}: {stderr}{stdout}");
    stdout.replace("/throwaway/state/foo", "/ROOT")
}

/// A container as [`shown`] runs it, which it makes.
pub fn prepare(host: &Host, root: &str, flags: &str, script: &str) {
    let system = host.system_with_init(&format!("{script}\nexit 0"));
    host.shell(&format!(
        "mkdir -p $NIXOS_CONTAINER_STATE_DIR/foo; cd $NIXOS_CONTAINER_STATE_DIR/foo\n{root}"
    ));
    let flags = flags_in_conf(flags);
    host.write_conf("foo", &format!("SYSTEM_PATH={system}\n{flags}"));
}

/// What [`shown`] is under systemd-nspawn; `None` where there is none to compare
/// with.
pub fn shown_by_nspawn(host: &Host, root: &str, flags: &str, script: &str) -> Option<String> {
    if !has_nspawn(host) {
        return None;
    }
    let system = host.system_with_init(&format!("{script}\nexit 0"));
    // As the store is here: where users are the container's own, root's inside.
    let own_users = flags.contains("--private-users=");
    let store = if own_users {
        "/nix/store:/nix/store:idmap"
    } else {
        "/nix/store"
    };
    let shown = host.shell(&format!(
        "mkdir -p /run/throwaway/peer/usr; cd /run/throwaway/peer; (true; {root}\n)
         # These are made by a host's systemd, and used by --inaccessible.
         mkdir -p -m 0 /run/systemd/inaccessible/dir
         : >/run/systemd/inaccessible/reg; chmod 0 /run/systemd/inaccessible/reg
         systemd-nspawn --quiet --keep-unit --register=no --console=pipe -D . \
             --bind-ro={store} {} {system}/init",
        // A shell would take their backslashes and lines for its own.
        flags
            .split_whitespace()
            .map(|word| format!("'{word}' "))
            .collect::<String>()
    ));
    Some(shown.replace("/throwaway/peer", "/ROOT"))
}

/// Whether there is a peer to compare with.
pub fn has_nspawn(host: &Host) -> bool {
    let found = host.shell("command -v systemd-nspawn || true");
    if found.is_empty() {
        println!("compared with nothing: no systemd-nspawn; try apt-get install systemd-container");
    }
    !found.is_empty()
}
