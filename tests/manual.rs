//! The manual's chapter on imperative containers, told from its first command
//! to its last on a host with systemd and the NixOS module. Each command is
//! run as it is printed; what the text around it claims is asserted.

mod common;

#[path = "manual/chapter.rs"]
mod chapter;

use chapter::{commands, without_markup};
use common::nested::{NestedHost, as_user};
use common::succeed;
use common::talk::Talk;

const CHAPTER: &str = include_str!("manual/imperative-container-management.txt");

/// The places of the chapter, from before NixOS 22.05.
const HOST: &str = r#"{
    system.stateVersion = "21.11";
    users.users.bob.isNormalUser = true;
}"#;

/// Words of the chapter, and what shows that they are true on this host.
struct Step {
    words: &'static str,
    show: fn(&NestedHost, &str),
}

/// The story: every command of the chapter, each as `# ` and its words, and
/// the sentences that claim something without one.
const STORY: &[Step] = &[
    Step {
        words: "container management is currently only possible as root",
        show: others_may_not_manage,
    },
    Step {
        words: "# nixos-container create foo",
        show: create_makes_root_conf_and_profile,
    },
    Step {
        words: "# nixos-container create foo --config '
services.openssh.enable = true;
users.users.root.openssh.authorizedKeys.keys = [\"ssh-dss AAAAB3N…\"];
'",
        show: create_takes_options,
    },
    Step {
        words: "By default the next free address in the 10.233.0.0/16 subnet will be chosen",
        show: the_next_free_address_is_chosen,
    },
    Step {
        words: "# nixos-container create test --config-file test-container.nix \\
--local-address 10.235.1.2 --host-address 10.235.1.1",
        show: create_takes_addresses,
    },
    Step {
        words: "Creating a container does not start it.",
        show: no_container_runs,
    },
    Step {
        words: "# nixos-container start foo",
        show: start_returns_at_multi_user_target,
    },
    Step {
        words: "# systemctl status container@foo",
        show: systemctl_tells_of_the_unit,
    },
    Step {
        words: "# nixos-container root-login foo",
        show: root_login_is_a_shell_of_root,
    },
    Step {
        words: "Note that only root on the host can do this (since there is no authentication).",
        show: others_may_not_log_in_as_root,
    },
    Step {
        words: "# nixos-container login foo",
        show: login_is_for_all_users_of_the_host,
    },
    Step {
        words: "# nixos-container run foo -- uname -a",
        show: run_executes_a_command,
    },
    Step {
        words: "# nixos-container update foo",
        show: update_takes_an_edited_configuration,
    },
    Step {
        words: "# nixos-container update foo --config '
services.httpd.enable = true;
services.httpd.adminAddr = \"foo@example.org\";
networking.firewall.allowedTCPPorts = [ 80 ];
'",
        show: update_takes_options,
    },
    Step {
        words: "# curl http://$(nixos-container show-ip foo)/",
        show: the_page_is_served,
    },
    Step {
        words: "this will overwrite the container’s /etc/nixos/configuration.nix",
        show: the_configuration_is_overwritten,
    },
    Step {
        words: "running nixos-rebuild switch inside the container",
        show: a_container_rebuilds_itself,
    },
    Step {
        words: "stopped and started using nixos-container stop and nixos-container start",
        show: containers_stop_and_start,
    },
    Step {
        words: "or by using systemctl on the container’s service unit",
        show: systemctl_stops_and_starts_containers,
    },
    Step {
        words: "# nixos-container destroy foo",
        show: destroy_removes_the_file_system,
    },
];

#[test]
fn every_command_of_the_chapter_has_its_place_in_the_story() {
    let chapter = without_markup(CHAPTER);
    let told = STORY
        .iter()
        .filter_map(|step| step.words.strip_prefix("# "));
    assert_eq!(told.collect::<Vec<_>>(), commands(&chapter));
    let mut rest = chapter.as_str();
    for step in STORY {
        let found = rest.split_once(step.words);
        rest = found
            .unwrap_or_else(|| panic!("not there: {}", step.words))
            .1;
    }
}

#[test]
fn the_chapter_is_true() {
    let host = NestedHost::new(HOST);
    for step in STORY {
        println!("{}", step.words);
        (step.show)(&host, step.words.trim_start_matches("# "));
    }
}

fn others_may_not_manage(host: &NestedHost, _words: &str) {
    for command in ["create foo", "start foo", "destroy foo"] {
        let stderr = host.fail(&as_user("bob", &format!("nixos-container {command}")));
        assert!(stderr.contains("needs root"), "{command}: {stderr}");
    }
}

fn create_makes_root_conf_and_profile(host: &NestedHost, command: &str) {
    host.shell(command);
    host.shell(
        "[ -d /var/lib/containers/foo/etc/nixos ]
         [ -x /nix/var/nix/profiles/per-container/foo/system/init ]
         [ $(wc -l </etc/containers/foo.conf) -lt 20 ]
         grep -qx LOCAL_ADDRESS=10.233.1.2 /etc/containers/foo.conf
         [ ! -e /etc/nixos-containers/foo.conf ]
         [ ! -e /var/lib/nixos-containers/foo ]",
    );
    // The chapter creates it again, in another way.
    host.shell("nixos-container destroy foo");
}

fn create_takes_options(host: &NestedHost, command: &str) {
    let key = host.shell(
        "ssh-keygen -q -t ed25519 -N '' -C the-test -f /root/key
         cat /root/key.pub",
    );
    host.shell(&command.replace("ssh-dss AAAAB3N…", key.trim()));
    host.shell(
        "nixos-container start foo
         ssh -i /root/key -o StrictHostKeyChecking=no root@$(nixos-container show-ip foo) true
         nixos-container stop foo",
    );
}

fn the_next_free_address_is_chosen(host: &NestedHost, _words: &str) {
    let script = "nixos-container create bar --system-path \
                  $(readlink -f /nix/var/nix/profiles/per-container/foo/system)
                  nixos-container show-ip foo; nixos-container show-ip bar
                  nixos-container destroy bar";
    assert_eq!(host.shell(script), "10.233.1.2\n10.233.2.2\n");
}

fn create_takes_addresses(host: &NestedHost, command: &str) {
    host.shell("echo '{ environment.etc.told.text = \"from-a-file\"; }' >/root/test-container.nix");
    host.shell(command);
    let script = "nixos-container show-ip test; nixos-container start test
                  ip -brief -4 address show ve-test
                  nixos-container run test -- cat /etc/told
                  nixos-container destroy test";
    let words = host.shell(script);
    let words: Vec<_> = words.split_whitespace().collect();
    assert_eq!(words[0], "10.235.1.2", "{words:?}");
    assert!(words[3].starts_with("10.235.1.1"), "{words:?}");
    assert_eq!(words.last(), Some(&"from-a-file"), "{words:?}");
}

fn no_container_runs(host: &NestedHost, _words: &str) {
    assert_eq!(host.shell("nixos-container status foo"), "down\n");
}

fn start_returns_at_multi_user_target(host: &NestedHost, command: &str) {
    let active = "nixos-container run foo -- systemctl is-active multi-user.target";
    assert_eq!(host.shell(&format!("{command}; {active}")), "active\n");
}

fn systemctl_tells_of_the_unit(host: &NestedHost, command: &str) {
    let status = host.shell(command);
    assert!(status.contains("Active: active (running)"), "{status}");
}

fn root_login_is_a_shell_of_root(host: &NestedHost, command: &str) {
    let mut talk = Talk::begin(&host.at_terminal(command));
    talk.await_words("[root@foo:~]# ");
    talk.say("echo I''am $(id -un) in $(hostname)");
    assert_eq!(talk.hear("Iam "), "root in foo");
    // For the next step.
    talk.say("useradd --create-home --shell /bin/bash alice; echo alice:open sesame | chpasswd");
    talk.say("exit");
    assert_eq!(talk.end().0, Some(0));
}

fn others_may_not_log_in_as_root(host: &NestedHost, _words: &str) {
    let stderr = host.fail(&as_user("bob", "nixos-container root-login foo"));
    assert!(stderr.contains("needs root"), "{stderr}");
}

fn login_is_for_all_users_of_the_host(host: &NestedHost, command: &str) {
    for command in [command, &as_user("bob", command)] {
        let mut talk = Talk::begin(&host.at_terminal(command));
        talk.await_words("foo login: ");
        talk.say("alice");
        talk.await_words("Password: ");
        talk.say("open sesame");
        talk.await_words("$ ");
        talk.say("echo I''am $(id -un) in $(hostname)");
        assert_eq!(talk.hear("Iam "), "alice in foo");
        talk.leave();
    }
}

fn run_executes_a_command(host: &NestedHost, command: &str) {
    let said = host.shell(command);
    let expected = format!("Linux foo {}", host.shell("uname -rvmo"));
    assert_eq!(said, expected);
}

/// The chapter's `/var/lib/container` is its slip of the pen: it has the root
/// below `/var/lib/containers` before.
fn update_takes_an_edited_configuration(host: &NestedHost, command: &str) {
    host.shell(
        "sed -i 's/^}/environment.etc.told.text = \"edited\";\\n}/' \
         /var/lib/containers/foo/etc/nixos/configuration.nix",
    );
    host.shell(command);
    let told = "nixos-container run foo -- cat /etc/told";
    assert_eq!(host.shell(told), "edited");
}

fn update_takes_options(host: &NestedHost, command: &str) {
    host.shell(command);
    // A service of its type has been started when it has been executed.
    host.shell(
        "timeout 60 nixos-container run foo -- bash -c \
         'until : </dev/tcp/127.0.0.1/80; do sleep 0.05; done' 2>/dev/null",
    );
}

fn the_page_is_served(host: &NestedHost, command: &str) {
    let page = host.shell(command);
    let first = "<!DOCTYPE HTML PUBLIC \"-//W3C//DTD HTML 3.2 Final//EN\">";
    assert!(CHAPTER.contains(first) && page.starts_with(first), "{page}");
    assert!(page.contains("foo@example.org"), "{page}");
}

fn the_configuration_is_overwritten(host: &NestedHost, _words: &str) {
    let text = host.shell("cat /var/lib/containers/foo/etc/nixos/configuration.nix");
    assert!(text.contains("services.httpd.enable = true;"), "{text}");
    assert!(!text.contains("edited"), "{text}");
}

/// Its channel is the test's own: a container "does not have a copy of the
/// NixOS channel, so you should run nix-channel --update first".
fn a_container_rebuilds_itself(host: &NestedHost, _words: &str) {
    host.shell(
        "${NIX_PATH#nixpkgs=}/make-channel /srv/www/mini
         systemd-run --quiet busybox httpd -f -p 8000 -h /srv/www
         timeout 60 bash -c 'until : </dev/tcp/127.0.0.1/8000; do sleep 0.05; done' 2>/dev/null",
    );
    let inside = "nix-channel --add http://10.233.1.1:8000/mini nixos
                  nix-channel --update
                  sed -i 's/^}/environment.etc.told.text = \"from inside\";\\n}/' \
                      /etc/nixos/configuration.nix
                  nixos-rebuild switch
                  cat /etc/told";
    let mut run = host.command("nixos-container");
    run.args(["run", "foo", "--", "bash", "-euc", inside]);
    let said = succeed(&mut run);
    assert!(said.ends_with("from inside"), "{said}");
    // It is the system that the host knows, and a generation of its own.
    let system = host.shell("readlink -f /nix/var/nix/profiles/per-container/foo/system");
    let runs = host.shell("nixos-container run foo -- readlink -f /run/current-system");
    assert_eq!(system, runs);
    let generations = host.shell("nixos-container generations foo");
    assert_eq!(generations.lines().count(), 4, "{generations}");
}

fn containers_stop_and_start(host: &NestedHost, _words: &str) {
    let script = "nixos-container stop foo; nixos-container status foo
                  nixos-container start foo; nixos-container status foo
                  nixos-container run foo -- cat /etc/told";
    assert_eq!(host.shell(script), "down\nup\nfrom inside");
}

fn systemctl_stops_and_starts_containers(host: &NestedHost, _words: &str) {
    let script = "systemctl stop container@foo; nixos-container status foo
                  systemctl start container@foo; nixos-container status foo";
    assert_eq!(host.shell(script), "down\nup\n");
}

fn destroy_removes_the_file_system(host: &NestedHost, command: &str) {
    host.shell(command);
    assert_eq!(host.shell("nixos-container list"), "");
    host.shell(
        "[ ! -e /var/lib/containers/foo ]
         [ ! -e /etc/containers/foo.conf ]
         [ ! -e /nix/var/nix/profiles/per-container/foo ]
         [ ! -e /nix/var/nix/gcroots/per-container/foo ]",
    );
}

#[test]
fn containers_have_other_places_since_nixos_22_05() {
    let host = NestedHost::new(r#"{ system.stateVersion = "25.05"; }"#);
    host.shell(
        "nixos-container create foo
         [ -d /var/lib/nixos-containers/foo/etc/nixos ]
         [ -x /nix/var/nix/profiles/per-container/foo/system/init ]
         [ -f /etc/nixos-containers/foo.conf ]
         [ ! -e /etc/containers/foo.conf ]
         [ ! -e /var/lib/containers/foo ]
         nixos-container start foo
         [ \"$(nixos-container run foo -- hostname)\" = foo ]
         nixos-container destroy foo
         [ ! -e /var/lib/nixos-containers/foo ]
         [ ! -e /etc/nixos-containers/foo.conf ]",
    );
}
