# A NixOS host with the container "web". `nixos-rebuild switch` makes the unit
# container@web.service; `nixos-container list`, `run` and the like know it.
{
  # Or a path to where this repository is checked out.
  imports = [ ../../nixos/module.nix ];

  containers.web = {
    autoStart = true;

    # Users of its own: root inside is an ordinary id of the host.
    privateUsers = "pick";

    # A network of its own: a link to the host with these addresses.
    privateNetwork = true;
    hostAddress = "10.231.136.1";
    containerAddress = "10.231.136.2";

    # Port 8080 leads to the container, but only on the host's loopback.
    bindHost = "127.0.0.1";
    forwardPorts = [
      {
        hostPort = 8080;
        containerPort = 80;
      }
    ];

    # A directory of the host, read-only, at the same place inside.
    extraHostPaths = [ "/srv/www" ];

    # The container's system.
    config = {
      services.httpd.enable = true;
      services.httpd.adminAddr = "admin@example.org";
      networking.firewall.allowedTCPPorts = [ 80 ];
    };
  };

  systemd.tmpfiles.rules = [ "d /srv/www 0755 root root -" ];
}
