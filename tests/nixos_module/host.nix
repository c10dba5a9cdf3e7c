# A host with a container for each option that the module adds or changes.
{ lib, pkgs, ... }:
let
  # A store path with the form of a system; no test starts it.
  system = pkgs.runCommand "container-system" { } "mkdir $out; touch $out/init; chmod +x $out/init";
in
{
  imports = [ ../../nixos/module.nix ];

  boot.isNspawnContainer = true;
  system.stateVersion = "25.05";
  virtualisation.nixos-container.package = lib.makeOverridable (
    {
      configurationDirectory ? "/etc/nixos-containers",
      stateDirectory ? "/var/lib/nixos-containers",
    }:
    {
      type = "derivation";
      # Of a program with other directories, the path names them.
      outPath =
        "/nixos-container"
        + lib.optionalString (stateDirectory != "/var/lib/nixos-containers") "-in${stateDirectory}"
        + lib.optionalString (configurationDirectory != "/etc/nixos-containers") "-of${configurationDirectory}";
      meta.mainProgram = "nixos-container";
    }
  ) { };

  # What a configuration adds to a unit.
  systemd.services."container@hooks" = {
    preStart = lib.mkBefore ''mkdir -p "$root/srv/''${INSTANCE}"'';
    postStart = "ip link set ve-hooks up";
    postStop = "true";
    after = [ "db.service" ];
    path = [ pkgs.hello ];
    environment.WORD = "value";
    serviceConfig = {
      DeviceAllow = [ "/dev/kvm rw" ];
      Nice = 5;
      TasksMax = 100;
    };
  };
  systemd.services."container@script".script = lib.mkBefore "echo first";

  containers = {
    plain.path = system;
    hooks.path = system;
    script.path = system;

    flake = {
      flake = "path:/srv/web";
      autoStart = true;
    };

    words = {
      path = system;
      autoStart = true;
      privateNetwork = true;
      hostAddress = "10.231.136.1";
      containerAddress = "10.231.136.2";
      bindHost = "192.0.2.1";
      forwardPorts = [ { hostPort = 8080; } ];
      extraHostPaths = [
        "/srv/films"
        "/srv/music"
        "/srv/more music"
      ];
      bindMounts."/srv/films".isReadOnly = false;
      stateDir = "/srv/containers";
      timeoutStartSec = "5min";
    };

    bridged = {
      path = system;
      privateNetwork = true;
      spoofCheck = false;
      copyResolvConf = false;
      network = "br0";
      localAddress = "192.0.2.7/24";
      extraVeths = {
        lan = {
          hostName = "lan-bridged";
          hostBridge = "br1";
        };
        wan = {
          hostAddress = "10.1.0.1";
          localAddress = "10.1.0.2";
        };
      };
    };

    strange = {
      path = system;
      privateNetwork = true;
      privateUsers = "pick";
      untrusted = true;
    };

    devices = {
      path = system;
      ephemeral = true;
      enableTun = true;
      additionalCapabilities = [ "CAP_SYS_TIME" ];
      allowedDevices = [
        {
          node = "/dev/dri/card0";
          modifier = "rw";
        }
      ];
      tmpfs = [
        "/var"
        "/srv:size=10m"
      ];
      extraFlags = [ "--drop-capability=CAP_SYS_CHROOT" ];
      nixDaemon = false;
    };

    limited = {
      path = system;
      memoryMax = "2G";
      cpuQuota = "150%";
      tasksMax = 4096;
      ioWeight = 50;
      limitNofile = "1024:4096";
      consoleLogMax = "4M";
      journalMaxUse = "500M";
    };
  };
}
