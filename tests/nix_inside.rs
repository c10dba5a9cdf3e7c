//! Nix in a container: the host's daemon builds, profile and roots are the
//! container's own, and `nixos-rebuild` changes its system from inside.

mod common;

use common::{Host, mini_nixpkgs, succeed};

/// A container with Nix inside and no NAT, started.
fn start(host: &Host, name: &str) {
    host.create_with(name, &[]);
    host.run(&["start", name]);
}

/// Adds a definition to the container's configuration, from inside.
fn define(host: &Host, name: &str, definition: &str) {
    let script = format!("sed -i 's/^}}/{definition}\\n}}/' /etc/nixos/configuration.nix");
    host.inside(name, &script);
}

#[test]
fn a_container_follows_a_channel_and_rebuilds_itself() {
    let host = Host::with_nix_daemon();
    start(&host, "foo");
    // The outside is the host: a web server with the channel.
    host.shell(&format!(
        "{0}/make-channel /run/throwaway/www/mini
         busybox=$(nix-instantiate --eval {0}/tree.nix --attr path | tr -d '\"')/usr/bin/busybox
         $busybox httpd -p 8000 -h /run/throwaway/www",
        mini_nixpkgs().display()
    ));
    host.inside(
        "foo",
        "nix-channel --add http://10.233.1.1:8000/mini nixos; nix-channel --update",
    );
    let generations = |host: &Host| host.inside("foo", "nixos-rebuild list-generations");

    define(&host, "foo", r#"environment.etc.told.text = "one";"#);
    host.inside("foo", "nixos-rebuild switch");
    assert_eq!(host.inside("foo", "cat /etc/told"), "one");
    assert_eq!(generations(&host).lines().count(), 2);

    // Tried out, without a generation of its own.
    host.inside("foo", "sed -i s/one/two/ /etc/nixos/configuration.nix");
    host.inside("foo", "nixos-rebuild test");
    assert_eq!(host.inside("foo", "cat /etc/told"), "two");
    assert_eq!(generations(&host).lines().count(), 2);

    // For the next boot.
    host.inside("foo", "nixos-rebuild boot; nixos-rebuild --rollback switch");
    assert_eq!(host.inside("foo", "cat /etc/told"), "one");
    host.inside(
        "foo",
        "nix-env -p /nix/var/nix/profiles/system --switch-generation 3",
    );
    host.run(&["stop", "foo"]);
    host.run(&["start", "foo"]);
    assert_eq!(host.inside("foo", "cat /etc/told"), "two");

    // What the profile of the container holds, the host's collector keeps.
    let profile = host.place("PROFILE_DIR").join("foo/system");
    let system = host.inside("foo", "readlink -f /run/current-system");
    let held = host.shell(&format!("readlink -f {}", profile.display()));
    assert_eq!(system, held);
}

#[test]
fn a_container_rebuilds_itself_from_a_flake() {
    let host = Host::with_nix_daemon();
    start(&host, "foo");
    let nixpkgs = succeed(host.command("nix-store").arg("--add").arg(mini_nixpkgs()));
    let flake = format!(
        r#"{{
            inputs.nixpkgs.url = "path:{}";
            outputs = {{ nixpkgs, ... }}: {{
                nixosConfigurations.foo = nixpkgs.lib.nixosSystem {{
                    system = "x86_64-linux";
                    modules = [ ./configuration.nix {{ environment.etc.told.text = "by a flake"; }} ];
                }};
            }};
        }}"#,
        nixpkgs.trim()
    );
    let write = format!("cat >/etc/nixos/flake.nix <<'END'\n{flake}\nEND");
    host.inside("foo", &write);
    host.inside("foo", "nixos-rebuild switch");
    assert_eq!(host.inside("foo", "cat /etc/told"), "by a flake");
}

/// Its files are the host's root's on the disk, or its own root's: what the
/// host writes is root's inside either way.
#[test]
fn a_container_with_users_of_its_own_is_updated_and_rebuilds_itself() {
    let host = Host::with_nix_daemon();
    let nixpkgs = succeed(host.command("nix-store").arg("--add").arg(mini_nixpkgs()));
    for ownership in ["map", "chown"] {
        host.create_with("foo", &["--config", "environment.etc.told.text = \"one\";"]);
        let flag = format!("EXTRA_NSPAWN_FLAGS=--private-users-ownership={ownership}");
        host.append_conf("foo", &format!("PRIVATE_USERS=pick\n{flag}"));
        host.run(&["start", "foo"]);
        host.run(&[
            "update",
            "foo",
            "--config",
            "environment.etc.told.text = \"two\";",
        ]);
        assert_eq!(host.inside("foo", "cat /etc/told"), "two");
        let owners = "stat -c %u:%g /etc/nixos/configuration.nix /nix/var/nix/profiles/system";
        assert_eq!(host.inside("foo", owners), "0:0\n0:0\n", "{ownership}");
        define(&host, "foo", "environment.etc.also.text = \"rebuilt\";");
        let rebuild = format!("nixos-rebuild switch -I nixpkgs={}", nixpkgs.trim());
        host.inside("foo", &rebuild);
        assert_eq!(host.inside("foo", "cat /etc/also"), "rebuilt");
        host.run(&["rollback", "foo"]);
        host.inside("foo", "test ! -e /etc/also");
        host.run(&["destroy", "foo"]);
    }
}
