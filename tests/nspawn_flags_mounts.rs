//! What the flags about file systems do, looked at from inside, and that
//! systemd-nspawn shows the same for the same flags.

mod common;

use std::process::Output;

use common::Host;
use common::peer::{prepare, shown, shown_by_nspawn};

fn supervise(host: &Host) -> Output {
    host.nixos_container(&["supervise", "foo"])
        .output()
        .expect("it runs")
}

/// Defines `mounts`, which prints for each mount below a directory: where it
/// is, its type, what of its file system is seen, its attributes, and the
/// parameters of a tmpfs. Which time stamps a mount keeps is of no matter here.
const MOUNTS: &str = r#"
    mount -t proc proc /proc 2>/dev/null || true
    mounts() {
        awk -v directory="$1/" 'index($5, directory) == 1 {
            gsub(/,(rel|strict)atime/, "", $6)
            split($0, halves, " - "); split(halves[2], type, " ")
            print $5, type[1], $4, $6 (type[1] == "tmpfs" && $4 == "/" ? " " type[3] : "")
        }' /proc/self/mountinfo | sort
    }
"#;

#[test]
fn binds_and_tmpfs_are_those_of_nspawn() {
    let host = Host::new();
    host.shell(
        "mkdir -p /run/throwaway/data/below '/run/throwaway/a:b'
         mount -t tmpfs -o size=1m tmpfs /run/throwaway/data/below
         cd /run/throwaway; touch data/file data/below/deep a:b/c",
    );
    let root = "mkdir -p srv etc; echo own >srv/own; ln -sfn /srv etc/link";
    let flags = r"--tmpfs=/t/fs --bind=/run/throwaway/data:/t/fs/inner
        --bind /run/throwaway/data:/t/data --bind-ro=/run/throwaway/data:/t/ro
        --bind=/run/throwaway/data:/t/alone:norbind --bind=/run/throwaway/data/file:/t/file
        --bind=/run/throwaway/a\:b:/t/a\:b --bind=+/srv:/t/srv --bind=:/t/empty
        --tmpfs=/t/small:size=64k,mode=1777,noexec --bind=/run/throwaway/data:/etc/link/data";
    let script = format!(
        r#"{MOUNTS}
        # Where a temporary directory is on the host is of no matter.
        mounts /t | sed 's,^/t/empty .*,/t/empty somewhere,'
        mounts /srv
        cd /t; ls -1d fs/inner/below/deep data/below/deep alone/below/* a:b/c 2>&1
        cat srv/own; echo inside >data/inside; echo new >empty/new; ls empty
        stat -c '%n %a' fs small empty file
        for dir in ro ro/below; do echo x 2>&1 >$dir/x | sed 's/.*: //'; done"#
    );
    let ours = shown(&host, root, flags, &script);
    assert_eq!(
        ours,
        "\
/t/a:b tmpfs /throwaway/a:b rw
/t/alone tmpfs /throwaway/data rw
/t/data tmpfs /throwaway/data rw
/t/data/below tmpfs / rw rw,size=1024k
/t/empty somewhere
/t/file tmpfs /throwaway/data/file rw
/t/fs tmpfs / rw,nodev rw,mode=755
/t/fs/inner tmpfs /throwaway/data rw
/t/fs/inner/below tmpfs / rw rw,size=1024k
/t/ro tmpfs /throwaway/data ro
/t/ro/below tmpfs / ro rw,size=1024k
/t/small tmpfs / rw,nodev,noexec rw,size=64k
/t/srv tmpfs /ROOT/srv rw
/t/srv/data tmpfs /throwaway/data rw
/t/srv/data/below tmpfs / rw rw,size=1024k
/srv/data tmpfs /throwaway/data rw
/srv/data/below tmpfs / rw rw,size=1024k
ls: alone/below/*: No such file or directory
a:b/c
data/below/deep
fs/inner/below/deep
own
new
fs 755
small 1777
empty 755
file 644
Read-only file system
Read-only file system
"
    );
    let written = host.shell("cat /run/throwaway/data/inside; ls -A /run/throwaway/state");
    assert_eq!(written, "inside\n.foo.nix\nfoo\n");
    if let Some(nspawns) = shown_by_nspawn(&host, root, flags, &script) {
        assert_eq!(ours, nspawns);
    }
}

/// Options that systemd-nspawn has not.
#[test]
fn a_bind_can_be_restricted_with_all_that_is_mounted_below() {
    let host = Host::new();
    host.shell(
        "mkdir -p /run/throwaway/data/below; mount -t tmpfs tmpfs /run/throwaway/data/below
         cd /run/throwaway/data/below; printf '#!/init\n' >program; chmod +x program",
    );
    let flags = "--bind=/run/throwaway/data:/t/data:nosuid,nodev,noexec,ro";
    let script = format!("{MOUNTS} mounts /t; /t/data/below/program 2>&1 | sed 's/.*: //'");
    assert_eq!(
        shown(&host, "true", flags, &script),
        "/t/data tmpfs /throwaway/data ro,nosuid,nodev,noexec\n\
         /t/data/below tmpfs / ro,nosuid,nodev,noexec rw\nPermission denied\n"
    );
}

/// Defines `look`, which prints for each directory what there is and whether
/// it can be changed. /var/lib is made at each start as by nixpkgs' unit,
/// /var/log by systemd-nspawn.
const LOOK: &str = r#"
    look() {
        for path; do
            echo "$path: $(ls -A $path 2>&1 | grep -vxE 'lib|log' | tr '\n' ' ')" \
                "$(touch $path/x 2>/dev/null && rm $path/x && echo writable)"
        done
    }
"#;

#[test]
fn overlays_are_those_of_nspawn() {
    let host = Host::new();
    host.shell(
        "cd /run/throwaway; mkdir -p low high upper
         echo low >low/a; echo low >low/b; echo high >high/b; echo upper >upper/c",
    );
    // systemd-nspawn makes an overlay's mount point, and no directory above it.
    let root = "mkdir -p srv t; echo own >srv/own";
    let flags = "--overlay=/run/throwaway/low:/run/throwaway/high:/run/throwaway/upper:/t/three
        --overlay-ro=/run/throwaway/low:/run/throwaway/high:/run/throwaway/upper:/t/ro
        --overlay=+/srv::/srv --overlay-ro=/run/throwaway/low::/t/alone
        --overlay=/run/throwaway/low:+/t/own --inaccessible=/t/three/a --inaccessible=/t/three/d";
    let script = format!(
        r#"{LOOK}
        cd /t; look three ro /srv alone own
        echo $(cat three/b three/c ro/b ro/c own/b /srv/own)
        echo changed >three/b; echo changed >own/b; echo changed >/srv/own; echo new >three/new
        echo $(cat three/b own/b /srv/own)
        stat -c '%a %s %F' three/a three/d; ls three/d; rm -f three/a 2>&1"#
    );
    host.shell("mkdir /run/throwaway/low/d; touch /run/throwaway/low/d/secret");
    let ours = shown(&host, root, flags, &script);
    let seen = "\
three: a b c d  writable
ro: a b c d  
/srv: own  writable
alone: a b d  
own: a b d  writable
high upper high upper low own
changed changed changed
0 0 regular empty file
0 40 directory
rm: can't remove 'three/a': Device or resource busy
";
    assert_eq!(ours, seen);
    // Changes are where they were meant to be, and nothing else was left.
    let left = host.shell(
        "cd /run/throwaway; echo $(ls -A . upper state state/foo/t)
         echo $(cat low/b upper/b upper/new state/foo/srv/own state/foo/t/own/b)",
    );
    assert_eq!(
        left,
        ".: changes conf env gcroots high low profiles state tmp upper state: .foo.nix foo state/foo/t: \
         alone own ro three upper: b c new\nlow changed new own changed\n"
    );
    host.shell("rm /run/throwaway/upper/b /run/throwaway/upper/new");
    if let Some(nspawns) = shown_by_nspawn(&host, root, flags, &script) {
        assert_eq!(ours, nspawns);
    }
}

#[test]
fn roots_are_those_of_nspawn() {
    let host = Host::new();
    // Without /tmp and /nix/store, systemd-nspawn has nowhere to mount them on.
    let root = "mkdir -p usr/share opt var/lib tmp nix/store sub; echo image >usr/share/image
                cp usr/share/image var/image
                mountpoint -q sub || mount -t tmpfs tmpfs sub; touch sub/below";
    let script = format!(
        r#"{LOOK}
        look /usr/share /var /opt; [ ! -e /sub/below ] || look /sub
        cat /var/image 2>&1; echo changed 2>&1 >/var/image | sed 's/.*: //'
        # Of the new root only what was written into it is of interest.
        echo x 2>/dev/null >/new && ls /new"#
    );
    let no = "No such file or directory";
    for (flags, expected) in [
        (
            "",
            "/usr/share: image  writable|/var: image  writable|/opt:  writable|/sub: below  writable|image|/new",
        ),
        (
            "--read-only",
            "/usr/share: image  |/var: image  |/opt:  |/sub: below  |image|Read-only file system",
        ),
        (
            "--volatile=state",
            &format!(
                "/usr/share: image  |/var:  writable|/opt:  |/sub: below  |cat: can't open '/var/image': {no}"
            ),
        ),
        (
            "--volatile",
            &format!(
                "/usr/share: image  |/var:  writable|/opt: ls: /opt: {no}  |cat: can't open '/var/image': {no}|/new"
            ),
        ),
        (
            "--volatile=overlay --read-only",
            "/usr/share: image  writable|/var: image  writable|/opt:  writable|image|/new",
        ),
        (
            "-x",
            "/usr/share: image  writable|/var: image  writable|/opt:  writable|image|/new",
        ),
    ] {
        let ours = shown(&host, root, flags, &script);
        assert_eq!(ours.trim_end().replace('\n', "|"), expected, "{flags}");
        if let Some(nspawns) = shown_by_nspawn(&host, root, flags, &script) {
            assert_eq!(ours, nspawns, "{flags}");
        }
        let kept = host.shell("cd /run/throwaway/state/foo; cat var/image; rm -f new");
        let changed = if flags.is_empty() {
            "changed\n"
        } else {
            "image\n"
        };
        assert_eq!(kept, changed, "{flags}");
    }
}

#[test]
fn planted_links_lead_no_mount_out_of_the_root() {
    let host = Host::new();
    host.shell("cd /run/throwaway; mkdir victim data; echo secret >victim/secret");
    // From the host, both lead to its victim; from inside, to the container's.
    let root = "mkdir -p victim usr; ln -sfn ../../victim up; ln -sfn ../../victim/file file";
    let flags = "--bind=/run/throwaway/data:/up/a --tmpfs=/up/b --bind=/etc/passwd:/file
        --overlay=/run/throwaway/data:+/up/c:/up/d --overlay=+/usr::/up/e";
    let script = "echo $(ls /victim) $(grep -c ^root: /victim/file)";
    let seen = shown(&host, root, flags, script);
    assert_eq!(seen, "a b c d e file 1\n");
    assert_eq!(host.shell("ls -A /run/throwaway/victim"), "secret\n");
    // Nor is seen what is there.
    for flag in ["--bind=+/up/secret:/t", "--inaccessible=/up/secret"] {
        prepare(&host, root, flag, "true");
        let output = supervise(&host);
        let stderr = String::from_utf8_lossy(&output.stderr);
        let message = "No such file or directory (os error 2)\n";
        assert!(stderr.ends_with(message), "{flag}: {stderr}");
    }
}

#[test]
fn what_others_put_in_the_place_of_a_work_directory_is_not_used() {
    let host = Host::new();
    host.shell("cd /run/throwaway; mkdir -p low up victim/work; touch victim/work/file");
    let flags = "--overlay=/run/throwaway/low:/run/throwaway/up:/t";
    for planted in [
        "ln -s victim .nixos-container-foo-0",
        "mkdir .nixos-container-foo-0; chown 1:1 .nixos-container-foo-0",
    ] {
        host.shell(&format!("cd /run/throwaway; {planted}"));
        assert_eq!(shown(&host, "true", flags, "echo ran"), "ran\n");
        assert_eq!(host.shell("ls /run/throwaway/victim/work"), "file\n");
        assert_eq!(host.shell("ls -d /run/throwaway/.* || true"), "");
    }
}

#[test]
fn a_missing_source_is_named_before_anything_starts() {
    let host = Host::new();
    host.create("foo");
    let before = host.inventory();
    let conf = host.place("CONF_DIR").join("foo.conf");
    let conf = conf.display();
    for (flags, flag, missing) in [
        ("--bind=/nowhere:/x", "--bind=/nowhere:/x", "/nowhere"),
        (
            "--bind-ro /etc:/x --bind-ro /nowhere/at/all",
            "--bind-ro=/nowhere/at/all",
            "/nowhere/at/all",
        ),
    ] {
        host.shell(&format!(
            "sed -i /EXTRA/d {conf}; echo EXTRA_NSPAWN_FLAGS=\\'{flags}\\' >>{conf}"
        ));
        assert_eq!(
            host.fail(1, &["start", "foo"]),
            format!(
                "error: cannot start container 'foo': cannot use {flag} of {conf}: {missing} does \
                 not exist on the host; make it, or remove the flag\n"
            )
        );
    }
    host.await_inventory(&before);
}
