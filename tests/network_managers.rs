//! Programs of the host that set up links, systemd-networkd and udev, leave those of
//! containers alone. NetworkManager does so by the property that udev sets.

mod common;

use std::path::Path;
use std::process::Command;

use common::Host;

/// Puts the files that are installed for these programs beside systemd's own for the
/// links of containers.
const FILES: &str = "
    mkdir -p /run/systemd/network /run/systemd/netif /run/udev/rules.d
    cp systemd/network/* /usr/lib/systemd/network/80-container-* /run/systemd/network
    # As in systemd's 99-default.link.
    printf '%s\\n' '[Match]' 'OriginalName=*' '[Link]' MACAddressPolicy=persistent \\
        >/run/systemd/network/99-default.link
    cp systemd/udev/*.rules /run/udev/rules.d
    chown systemd-network /run/systemd/netif";

/// Runs networkd until it has decided about the link.
const NETWORKD: &str = "
    /usr/lib/systemd/systemd-networkd & networkd=$!
    link=/run/systemd/netif/links/$(cat /sys/class/net/ve-foo/ifindex)
    # Pending at first.
    until grep -qE '^ADMIN_STATE=(configured|unmanaged)' $link 2>/dev/null; do
        [ $SECONDS -lt 60 ]
    done
    kill $networkd
    wait $networkd || true";

fn has_networkd() -> bool {
    let is_there = Path::new("/usr/lib/systemd/systemd-networkd").exists();
    if !is_there {
        println!("skipped: no systemd-networkd here");
    }
    is_there
}

/// The MAC address, addresses and routes of a link.
fn link(host: &Host) -> String {
    host.shell("ip -o link show ve-foo; ip -o address show ve-foo | sed 's/ tentative//'; ip route")
}

#[test]
fn networkd_leaves_links_alone_on_a_host_that_is_a_container() {
    if !has_networkd() {
        return;
    }
    let host = Host::new();
    host.create_and_start("foo");
    let before = link(&host);
    host.shell(&format!(
        "mount -o remount,bind,ro /sys; mkdir -p /run/systemd
         echo other >/run/systemd/container
         {FILES}
         {NETWORKD}"
    ));
    assert_eq!(link(&host), before);
}

#[test]
fn networkd_and_udev_leave_links_alone() {
    if !has_networkd() {
        return;
    }
    if Command::new("udevadm").arg("--version").output().is_err() {
        println!("skipped: no udev here");
        return;
    }
    let host = Host::new();
    host.create_and_start("foo");
    let before = link(&host);
    let properties = host.shell(&format!(
        "{FILES}
         rules=$(dirname $(readlink -f $(type -P udevadm)))/../lib/udev/rules.d
         cp $rules/75-net-description.rules $rules/80-net-setup-link.rules /run/udev/rules.d
         (exec -a systemd-udevd udevadm) >/dev/null 2>&1 & udevd=$!
         until udevadm control --ping 2>/dev/null; do [ $SECONDS -lt 60 ]; done
         udevadm trigger --action=add /sys/class/net/ve-foo --settle
         {NETWORKD}
         udevadm info --query=property /sys/class/net/ve-foo
         kill $udevd"
    ));
    assert_eq!(link(&host), before);
    assert!(properties.contains("NM_UNMANAGED=1"), "{properties}");
}
