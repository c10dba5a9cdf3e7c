# A NixOS test of a host that runs a container with nixos-container:
#
#   nix-build examples/nixos-test
{
  pkgs ? import <nixpkgs> { },
}:
pkgs.testers.runNixOSTest {
  name = "container-web";

  nodes.machine = {
    # Or a path to where this repository is checked out.
    imports = [ ../../nixos/module.nix ];

    containers.web = {
      autoStart = true;
      privateNetwork = true;
      hostAddress = "10.231.136.1";
      localAddress = "10.231.136.2";
      config = {
        services.httpd.enable = true;
        services.httpd.adminAddr = "admin@example.org";
        networking.firewall.allowedTCPPorts = [ 80 ];
      };
    };
  };

  testScript = ''
    machine.wait_for_unit("container@web.service")

    with subtest("The container is up and has its address"):
        assert machine.succeed("nixos-container status web").strip() == "up"
        assert machine.succeed("nixos-container show-ip web").strip() == "10.231.136.2"

    with subtest("Its web server answers the host"):
        machine.wait_until_succeeds("bash -c ': </dev/tcp/10.231.136.2/80'", timeout=30)

    with subtest("It stops and starts"):
        machine.succeed("nixos-container stop web")
        machine.fail("systemctl is-active container@web")
        machine.succeed("nixos-container start web")
        machine.succeed("nixos-container run web -- systemctl is-active httpd")
  '';
}
