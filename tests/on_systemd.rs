//! What is done to a container from outside, and what its host lacks, where systemd runs
//! the supervisors.

mod common;

use common::nested::NestedHost;

/// A host with a container whose bridge comes while it boots, and one that does not
/// boot in time.
const MODULE: &str = "{
    containers.late = {
      autoStart = true;
      privateNetwork = true;
      hostBridge = \"br0\";
      config = { };
    };
    containers.slow = {
      timeoutStartSec = \"3s\";
      config.systemd.services.gate = {
        wantedBy = [ \"multi-user.target\" ];
        before = [ \"multi-user.target\" ];
        serviceConfig.Type = \"oneshot\";
        script = \"until [ -e /go ]; do sleep 0.1; done\";
      };
    };
    systemd.services.bridge = {
      wantedBy = [ \"multi-user.target\" ];
      # When the container is waiting for it.
      script = \"until systemctl show -P StatusText container@late | grep -q waiting; do sleep 0.1; done; ip link add br0 type bridge\";
    };
  }";

#[test]
fn systemd_hosts_hold() {
    let host = NestedHost::new(MODULE);
    a_bridge_that_comes_while_the_host_boots_is_waited_for(&host);
    a_bridge_that_is_missing_later_is_an_error_at_once(&host);
    a_boot_that_takes_too_long_names_the_key(&host);
    too_many_starts_are_named(&host);
    what_has_joined_from_outside_holds_up_no_end(&host);
}

fn a_bridge_that_comes_while_the_host_boots_is_waited_for(host: &NestedHost) {
    assert_eq!(host.shell("nixos-container status late"), "up\n");
    assert_eq!(
        host.shell("systemctl show -P NRestarts container@late"),
        "0\n"
    );
    assert!(host.shell("ip -o link show master br0").contains("vb-late"));
}

fn a_bridge_that_is_missing_later_is_an_error_at_once(host: &NestedHost) {
    host.shell("nixos-container stop late; ip link delete br0");
    let error = host.fail("timeout 30 nixos-container start late");
    let why = "cannot put the container into bridge br0: the host has no such link";
    assert!(error.contains(why), "{error}");
    host.shell("systemctl stop container@late; ip link add br0 type bridge");
}

fn a_boot_that_takes_too_long_names_the_key(host: &NestedHost) {
    let error = host.fail("nixos-container start slow");
    let why = "cannot start container 'slow': the system had not booted after 3 s and was \
               killed; if it needs longer, set TIMEOUT_START_SEC in /etc/nixos-containers/slow.conf";
    assert!(error.contains(why), "{error}");
    host.shell("systemctl stop container@slow");
}

fn too_many_starts_are_named(host: &NestedHost) {
    let error = host.fail(
        "systemctl reset-failed
         for start in 1 2 3 4 5 6; do
             nixos-container start late || exit 1
             nixos-container terminate late
         done",
    );
    assert!(error.contains("it was started too often"), "{error}");
}

/// machined's registration goes, too.
fn what_has_joined_from_outside_holds_up_no_end(host: &NestedHost) {
    for end in [
        "nixos-container stop late",
        "nixos-container stop --timeout 5 late",
        "systemctl stop container@late",
        "nixos-container terminate late",
    ] {
        host.shell(&format!(
            "systemctl reset-failed
             nixos-container start late
             init=$(machinectl show -P Leader late)
             sleep=$(nixos-container run late -- bash -c 'type -P sleep')
             nsenter -t $init -a $sleep 600 </dev/null >/dev/null 2>&1 & joined=$!
             until read -r child _ </proc/$joined/task/$joined/children || [ \"$child\" ]; do
                 [ $SECONDS -lt 60 ]
             done
             timeout --signal=KILL 45 {end}
             [ \"$(systemctl is-active container@late)\" = inactive ]
             ! machinectl show late"
        ));
    }
}
