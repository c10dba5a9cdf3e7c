//! The manual page, line by line, on a host with systemd and the NixOS module
//! whose configuration has the page's own example in it.

mod common;

#[path = "manual_page/page.rs"]
mod page;

use common::nested::NestedHost;
use common::talk::Talk;
use page::{declaration, lines};

const PAGE: &str = include_str!("manual_page/nixos-container-man-page.txt");

/// The sections that say what can be done.
const SECTIONS: [&str; 5] = [
    "TLDR",
    "SYNOPSIS",
    "PARAMETERS",
    "COMMON SUBCOMMANDS",
    "NETWORKING",
];

/// Containers for the page's words on networks, besides its own example.
const CONTAINERS: &str = r#"
    networking.bridges.br0.interfaces = [ ];
    containers.worded = {
        privateNetwork = true;
        hostAddress = "10.231.136.1";
        containerAddress = "10.231.136.2";
        extraHostPaths = [ "/srv/music" ];
        bindHost = "192.0.2.2";
        forwardPorts = [ { hostPort = 8080; containerPort = 80; } ];
        config.services.httpd.enable = true;
    };
    containers.bridged = {
        privateNetwork = true;
        network = "br0";
        config = { };
    };
"#;

/// A line of the page, or an option with the line that explains it, and what
/// shows that it is true.
struct Claim {
    words: &'static str,
    show: fn(&NestedHost, &str),
}

const fn claim(words: &'static str, show: fn(&NestedHost, &str)) -> Claim {
    Claim { words, show }
}

const CLAIMS: &[Claim] = &[
    claim("List running containers", list_tells_what_runs),
    claim(
        "Create a NixOS container with a specific configuration file",
        create_takes_a_file,
    ),
    claim(
        "Start, stop, terminate, or destroy a specific container",
        containers_start_and_end,
    ),
    claim(
        "Run a command in a running container",
        run_executes_a_command,
    ),
    claim(
        "Update a container configuration",
        update_takes_what_is_edited,
    ),
    claim(
        "Enter an interactive shell session on an already-running container",
        enter_gives_a_shell,
    ),
    claim(
        "nixos-container COMMAND [OPTIONS] [ARGUMENTS]",
        help_has_the_synopsis,
    ),
    claim("nixos-container create my-container", succeeds),
    claim("nixos-container start my-container", succeeds),
    claim(
        "nixos-container enter my-container --root -- /bin/bash",
        enter_runs_a_command,
    ),
    claim("nixos-container list", list_names_all),
    claim(
        "--help\nDisplay help information for the command or a specific subcommand.",
        help_is_there_for_every_subcommand,
    ),
    claim(
        "--show-trace\nShow a stack trace on error (a common Nix/NixOS option).",
        show_trace_is_for_nix,
    ),
    claim(
        "create --auto-start\nStart the newly created container immediately after creation.",
        auto_start_starts,
    ),
    claim(
        "create --ephemeral\nMark the container as ephemeral; it will be destroyed when stopped.",
        ephemeral_containers_are_destroyed,
    ),
    claim(
        "create --force\nForce the creation of a container, potentially overwriting an existing \
         one.",
        force_overwrites,
    ),
    claim(
        "destroy --force\nForce the destruction of a container, even if it's running.",
        force_destroys_what_runs,
    ),
    claim(
        "enter --root\nEnter the container as the root user. By default, it uses the current \
         user.",
        enter_is_for_the_current_user_or_root,
    ),
    claim(
        "enter --set-env\nSet an environment variable for the command executed inside the \
         container.",
        enter_sets_variables,
    ),
    claim(
        "pull-config --switch\nAfter pulling the configuration, activate it inside the container.",
        pull_config_activates,
    ),
    claim(
        "create <name>: Builds and initializes a new container based on its NixOS declaration.",
        create_builds_what_is_declared,
    ),
    claim("start <name>: Starts a configured container.", start_starts),
    claim("stop <name>: Stops a running container.", stop_stops),
    claim(
        "status <name>: Displays the current status of a container.",
        status_is_displayed,
    ),
    claim(
        "enter <name> [-- command...]: Enters a running container's shell or executes a specific \
         command inside it.",
        enter_has_a_shell_or_a_command,
    ),
    claim(
        "destroy <name>: Permanently removes a container and its associated state.",
        destroy_removes,
    ),
    claim(
        "list: Lists all containers defined in the NixOS configuration.",
        list_has_what_is_declared,
    ),
    claim(
        "rootless-install: Prepares the host system for running rootless containers for the \
         current user.",
        rootless_install_says_what_is_missing,
    ),
    claim(
        "pull-config <name>: Pulls the latest host configuration into the container, allowing it \
         to reconfigure itself.",
        pull_config_leaves_it_to_the_container,
    ),
    claim(
        "privateNetwork: Creates a private network for the container with NAT to the host's \
         network.",
        private_networks_have_nat,
    ),
    claim(
        "hostAddress / containerAddress: Defines specific IP addresses for the host and container \
         within the private network.",
        addresses_are_those_declared,
    ),
    claim(
        "extraHostPaths: Allows mounting paths from the host into the container.",
        paths_of_the_host_are_inside,
    ),
    claim(
        "bindHost: Binds a specific host IP address to the container.",
        ports_are_open_at_one_address,
    ),
    claim(
        "network: Connects the container to a specific network bridge on the host.",
        the_link_is_in_the_bridge,
    ),
];

#[test]
fn every_line_of_the_page_is_claimed() {
    let claimed = CLAIMS.iter().flat_map(|claim| claim.words.lines());
    let printed = SECTIONS.iter().flat_map(|section| lines(PAGE, section));
    assert_eq!(claimed.collect::<Vec<_>>(), printed.collect::<Vec<_>>());
}

#[test]
fn the_page_is_true() {
    let host = NestedHost::new(&format!("{{ {} {CONTAINERS} }}", declaration(PAGE)));
    for claim in CLAIMS {
        println!("{}", claim.words);
        (claim.show)(&host, claim.words);
    }
}

fn succeeds(host: &NestedHost, command: &str) {
    host.shell(command);
}

/// The word that containers made from `/root/web.nix` tell.
fn told(host: &NestedHost) -> String {
    host.shell("nixos-container run web -- cat /etc/told")
}

fn declare(host: &NestedHost, word: &str) {
    host.shell(&format!(
        "echo '{{ environment.etc.told.text = \"{word}\"; users.users.alice.isNormalUser = true; }}' \
         >/root/web.nix"
    ));
}

/// `create` for a container with the system of `web`.
fn create_like_web(name: &str) -> String {
    format!(
        "nixos-container create {name} --system-path \
         $(readlink -f /nix/var/nix/profiles/per-container/web/system)"
    )
}

fn status(host: &NestedHost, name: &str) -> String {
    let script = format!("nixos-container status {name} || true");
    host.shell(&script).trim().to_owned()
}

fn list_tells_what_runs(host: &NestedHost, _words: &str) {
    let running = host.shell("nixos-container list --running");
    assert_eq!(running, "my-web-server\n");
}

fn create_takes_a_file(host: &NestedHost, _words: &str) {
    declare(host, "one");
    host.shell("nixos-container create web --config-file /root/web.nix");
    host.shell("nixos-container start web");
    assert_eq!(told(host), "one");
}

fn containers_start_and_end(host: &NestedHost, _words: &str) {
    host.shell(&create_like_web("other"));
    for (command, then) in [
        ("start", "up"),
        ("stop", "down"),
        ("start", "up"),
        ("terminate", "down"),
        ("destroy", "gone"),
    ] {
        host.shell(&format!("nixos-container {command} other"));
        assert_eq!(status(host, "other"), then, "{command}");
    }
}

fn run_executes_a_command(host: &NestedHost, _words: &str) {
    let name = host.shell("nixos-container run my-web-server -- hostname");
    assert_eq!(name, "web-server\n");
}

fn update_takes_what_is_edited(host: &NestedHost, _words: &str) {
    host.shell(
        "sed -i 's/^}/environment.etc.edited.text = \"two\";\\n}/' \
         /var/lib/nixos-containers/web/etc/nixos/configuration.nix
         nixos-container update web",
    );
    let edited = host.shell("nixos-container run web -- cat /etc/edited");
    assert_eq!(edited, "two");
}

fn enter_gives_a_shell(host: &NestedHost, _words: &str) {
    let mut talk = Talk::begin(&host.at_terminal("nixos-container enter web"));
    talk.await_words("[root@web:~]# ");
    talk.say("exit 7");
    assert_eq!(talk.end().0, Some(7));
}

fn help_has_the_synopsis(host: &NestedHost, _words: &str) {
    let help = host.shell("nixos-container --help");
    let usage = help.lines().find(|line| line.starts_with("Usage: "));
    assert_eq!(usage, Some("Usage: nixos-container [OPTIONS] <COMMAND>"));
}

fn enter_runs_a_command(host: &NestedHost, command: &str) {
    let said = host.shell(&format!("{command} <<<'echo $0 of $(id -un)'"));
    assert_eq!(said, "/bin/bash of root\n");
}

fn list_names_all(host: &NestedHost, command: &str) {
    let names = host.shell(command);
    assert_eq!(names, "bridged\nmy-container\nmy-web-server\nweb\nworded\n");
}

fn help_is_there_for_every_subcommand(host: &NestedHost, _words: &str) {
    let help = host.shell("nixos-container --help");
    let (_, commands) = help.split_once("\nCommands:\n").expect("commands");
    let (commands, _) = commands.split_once("\n\n").expect("an end");
    let commands = commands.lines().filter_map(|line| {
        let line = line.strip_prefix("  ")?;
        line.split_once(' ').map(|(command, _)| command)
    });
    let commands: Vec<_> = commands.filter(|command| !command.is_empty()).collect();
    assert!(commands.len() > 20, "{commands:?}");
    for command in commands.iter().filter(|command| **command != "help") {
        let help = host.shell(&format!("nixos-container {command} --help"));
        let usage = format!("Usage: nixos-container {command} ");
        assert!(help.contains(&usage), "{command}: {help}");
    }
}

fn show_trace_is_for_nix(host: &NestedHost, _words: &str) {
    let create = "nixos-container create broken --config 'environment.etc.x.text = throw \"no\";'";
    let hint = "use '--show-trace'";
    assert!(host.fail(create).contains(hint));
    let traced = host.fail(&format!("{create} --show-trace"));
    assert!(
        !traced.contains(hint) && traced.contains("… while"),
        "{traced}"
    );
}

fn auto_start_starts(host: &NestedHost, _words: &str) {
    host.shell(&format!("{} --auto-start", create_like_web("auto")));
    assert_eq!(status(host, "auto"), "up");
}

fn ephemeral_containers_are_destroyed(host: &NestedHost, _words: &str) {
    host.shell(&format!("{} --ephemeral", create_like_web("brief")));
    host.shell("nixos-container start brief");
    assert_eq!(status(host, "brief"), "up");
    host.shell("nixos-container stop brief");
    assert_eq!(status(host, "brief"), "gone");
    host.shell("[ ! -e /var/lib/nixos-containers/brief ]");
}

fn force_overwrites(host: &NestedHost, _words: &str) {
    let create = create_like_web("auto");
    // The code for a container that exists.
    host.fail(&format!("{create} || [ $? != 25 ] || exit 1"));
    host.shell("nixos-container run auto -- touch /root/old");
    host.shell(&format!("{create} --force --auto-start"));
    host.shell("nixos-container run auto -- test ! -e /root/old");
}

fn force_destroys_what_runs(host: &NestedHost, _words: &str) {
    assert_eq!(status(host, "auto"), "up");
    host.shell("nixos-container destroy auto --force");
    assert_eq!(status(host, "auto"), "gone");
}

fn enter_is_for_the_current_user_or_root(host: &NestedHost, _words: &str) {
    // As sudo has it, which the tree has not.
    let script = "export SUDO_USER=alice
                  nixos-container enter web -- id -un; nixos-container enter web --root -- id -un";
    assert_eq!(host.shell(script), "alice\nroot\n");
}

fn enter_sets_variables(host: &NestedHost, _words: &str) {
    let script = "nixos-container enter web --set-env WORD='of mine' -- printenv WORD";
    assert_eq!(host.shell(script), "of mine\n");
}

fn pull_config_activates(host: &NestedHost, _words: &str) {
    declare(host, "three");
    host.shell("nixos-container pull-config web --switch");
    assert_eq!(told(host), "three");
}

fn create_builds_what_is_declared(host: &NestedHost, _words: &str) {
    host.shell("nixos-container create named --config 'environment.etc.told.text = \"named\";'");
    let built = "cat /nix/var/nix/profiles/per-container/named/system/etc/told";
    assert_eq!(host.shell(built), "named");
}

fn start_starts(host: &NestedHost, _words: &str) {
    let script = "nixos-container start named; nixos-container run named -- cat /etc/told";
    assert_eq!(host.shell(script), "named");
}

fn stop_stops(host: &NestedHost, _words: &str) {
    let script = "nixos-container stop named; machinectl --no-legend list | grep -c named || true";
    assert_eq!(host.shell(script), "0\n");
}

fn status_is_displayed(host: &NestedHost, _words: &str) {
    assert_eq!(status(host, "named"), "down");
    assert_eq!(status(host, "web"), "up");
}

fn enter_has_a_shell_or_a_command(host: &NestedHost, _words: &str) {
    let script = "nixos-container enter web <<<'echo in $(hostname)'
                  nixos-container enter web -- hostname";
    assert_eq!(host.shell(script), "in web\nweb\n");
}

fn destroy_removes(host: &NestedHost, _words: &str) {
    host.shell("nixos-container destroy named");
    assert_eq!(status(host, "named"), "gone");
    let left = "find /var/lib/nixos-containers /etc/nixos-containers \
                /nix/var/nix/profiles/per-container -maxdepth 1 -name 'named*'";
    assert_eq!(host.shell(left), "");
}

fn list_has_what_is_declared(host: &NestedHost, _words: &str) {
    let names = host.shell("nixos-container list");
    for declared in ["bridged", "my-web-server", "worded"] {
        assert!(names.lines().any(|name| name == declared), "{names}");
    }
}

fn rootless_install_says_what_is_missing(host: &NestedHost, _words: &str) {
    let stderr = host.fail("nixos-container rootless-install");
    assert!(stderr.contains("run containers as root"), "{stderr}");
}

fn pull_config_leaves_it_to_the_container(host: &NestedHost, _words: &str) {
    declare(host, "four");
    host.shell("nixos-container pull-config web");
    assert_eq!(told(host), "three");
    host.shell("nixos-container run web -- nixos-rebuild switch -I $NIX_PATH");
    assert_eq!(told(host), "four");
}

/// Of containers made on the command line: a NixOS host's own NAT is for its
/// configuration to say.
fn private_networks_have_nat(host: &NestedHost, _words: &str) {
    // The world: no way leads back from there but to the host.
    host.shell("nixos-container run my-container -- ping -n -c 1 -W 10 192.0.2.1");
}

fn addresses_are_those_declared(host: &NestedHost, _words: &str) {
    host.shell("mkdir -p /srv/music; echo a song >/srv/music/file; nixos-container start worded");
    assert_eq!(
        host.shell("nixos-container show-ip worded"),
        "10.231.136.2\n"
    );
    let address = host.shell("ip -brief -4 address show ve-worded");
    assert!(address.contains(" 10.231.136.1/"), "{address}");
}

fn paths_of_the_host_are_inside(host: &NestedHost, _words: &str) {
    let song = host.shell("nixos-container run worded -- cat /srv/music/file");
    assert_eq!(song, "a song\n");
}

fn ports_are_open_at_one_address(host: &NestedHost, _words: &str) {
    host.shell("timeout 60 sh -c 'until curl --silent 192.0.2.2:8080 >&2; do sleep 0.05; done'");
    // curl(1): 7, failed to connect.
    let script = "curl --silent 127.0.0.1:8080 || echo $?";
    assert_eq!(host.shell(script), "7\n");
}

fn the_link_is_in_the_bridge(host: &NestedHost, _words: &str) {
    host.shell("nixos-container start bridged");
    let links = host.shell("ip -oneline link show master br0");
    assert!(links.contains("vb-bridged"), "{links}");
}
