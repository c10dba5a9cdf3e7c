//! podman, and the runtimes crun and runc, in a container: the line of configuration
//! that the manual page names for them is enough. They are the machine's own, in a root
//! of its files.

mod common;

use std::process::Command;

use common::Host;

/// The line of the manual page.
const LINE: &str = "PRIVATE_USERS=pick";

/// Makes a root of the host's programs, which a unit with a mount namespace of its own
/// has for `/`, as a system with podman would.
const ENTER: &str = "
    mount --rbind /debian /debian; cd /debian
    for directory in bin sbin lib lib64; do ln -sfn usr/$directory $directory; done
    mkdir -p proc sys dev run tmp var root old
    for directory in proc sys dev; do mount --rbind /$directory $directory; done
    for directory in run tmp var root; do mount -t tmpfs none $directory; done
    mkdir -p var/tmp var/lib
    pivot_root . old
    export PATH=/usr/sbin:/usr/bin HOME=/root
    mkdir -p /tmp/b/rootfs; cd /tmp/b
    for directory in usr proc dev sys tmp etc run; do mkdir rootfs/$directory; done
    mount --bind /usr rootfs/usr
    for directory in bin lib lib64; do ln -s usr/$directory rootfs/$directory; done
    ";

fn inside(runtime: &str) -> String {
    if runtime == "podman" {
        return "podman --cgroup-manager=cgroupfs run --rm --network none --rootfs \
                /tmp/b/rootfs sh -c 'echo it runs'"
            .to_owned();
    }
    format!(
        "{runtime} spec
         sed -i -e 's/\"terminal\": true/\"terminal\": false/' \
             -e 's/\"sh\"/\"sh\", \"-c\", \"echo it runs\"/' config.json
         {runtime} run inner"
    )
}

#[test]
fn containers_of_oci_runtimes_run_inside() {
    let host = Host::new();
    host.create("foo");
    let binds = "--bind-ro=/usr:/debian/usr --bind-ro=/etc:/debian/etc";
    host.append_conf("foo", &format!("{LINE}\nEXTRA_NSPAWN_FLAGS=\"{binds}\""));
    host.run(&["start", "foo"]);
    for runtime in ["crun", "runc", "podman"] {
        if Command::new(runtime).arg("--version").output().is_err() {
            println!("skipped: no {runtime} here");
            continue;
        }
        let said = host.inside(
            "foo",
            &format!(
                "cat >/run/enter <<'END'\n{ENTER}{}\nEND
                 systemd-run --quiet --wait --pipe --collect --property=Delegate=yes \
                     unshare --mount bash -eu /run/enter 2>&1 || true",
                inside(runtime)
            ),
        );
        assert!(said.ends_with("it runs\n"), "{runtime}: {said}");
    }
}
