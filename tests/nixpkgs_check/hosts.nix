# Hosts that use every option of `containers.<name>`, nixpkgs' and this project's.
#
# `options` are the names of the options of `containers.<name>`, and `vethOptions`
# those of `extraVeths.<name>`: what is not there is left out.
{
  lib,
  options,
  vethOptions,
}:
let
  known = lib.filterAttrs (name: _: builtins.elem name options);
  knownOfVeth = lib.filterAttrs (name: _: builtins.elem name vethOptions);

  container =
    definitions:
    known (
      {
        config.system.stateVersion = "24.11";
      }
      // definitions
    );

  containers = {
    plain = { };

    auto = {
      autoStart = true;
      restartIfChanged = false;
      timeoutStartSec = "5min";
      interfaces = [ "eth1" ];
      macvlans = [ "eth2" ];
      privateNetwork = true;
      copyResolvConf = false;
    };

    network = {
      privateNetwork = true;
      hostAddress = "10.231.136.1";
      localAddress = "10.231.136.2";
      hostAddress6 = "fd00::1";
      localAddress6 = "fd00::2";
      localMacAddress = "02:00:00:00:00:01";
      forwardPorts = [
        {
          protocol = "udp";
          hostPort = 53;
          containerPort = 5353;
        }
        { hostPort = 8080; }
      ];
      extraVeths = {
        lan = knownOfVeth { hostBridge = "br1"; };
        wan = knownOfVeth {
          hostAddress = "10.1.0.1";
          localAddress = "10.1.0.2";
          hostAddress6 = "fd01::1";
          localAddress6 = "fd01::2";
          localMacAddress = "02:00:00:00:00:02";
          forwardPorts = [ { hostPort = 80; } ];
        };
      };
    };

    bridge = {
      privateNetwork = true;
      privateUsers = "pick";
      hostBridge = "br0";
      localAddress = "192.0.2.7/24";
    };

    namespace.networkNamespace = "/run/netns/a";

    devices = {
      ephemeral = true;
      enableTun = true;
      additionalCapabilities = [ "CAP_SYS_TIME" ];
      allowedDevices = [
        {
          node = "/dev/dri/card0";
          modifier = "rw";
        }
      ];
      bindMounts = {
        "/srv/music" = { };
        "/srv/films" = {
          mountPoint = "/films";
          hostPath = "/srv/films";
          isReadOnly = false;
        };
      };
      tmpfs = [
        "/var"
        "/srv:size=10m"
      ];
      extraFlags = [ "--drop-capability=CAP_SYS_CHROOT" ];
    };

    evaluated = {
      nixpkgs = "@nixpkgs@";
      specialArgs.word = "value";
    };

    built = {
      config = null;
      path = "/nix/var/nix/profiles/built";
    };

    flake = {
      config = null;
      flake = "path:/srv/web";
      autoStart = true;
    };

    hooks.autoStart = true;

    # This project's own options.
    words = {
      privateNetwork = true;
      containerAddress = "10.231.137.2";
      network = "br0";
      bindHost = "192.0.2.1";
      spoofCheck = false;
      extraHostPaths = [ "/srv/music" ];
      stateDir = "/srv/containers";
      nixDaemon = false;
      extraVeths.named = knownOfVeth { hostName = "to-words"; };
    };
    strangers = {
      untrusted = true;
      privateNetwork = true;
      privateUsers = "pick";
    };
    limits = {
      memoryMax = "2G";
      cpuQuota = "150%";
      tasksMax = 4096;
      ioWeight = 50;
      limitNofile = "1024:4096";
      consoleLogMax = "4M";
      journalMaxUse = "500M";
    };
  };

  # What a configuration adds to a unit, line by line.
  hooks = {
    preStart = [ "mkdir -p /srv/hooks" ];
    script = [ "echo first" ];
    postStart = [ "echo started" ];
    preStop = [ "echo stopping" ];
    postStop = [ "echo stopped" ];
  };
  text = lib.mapAttrs (_: lib.concatStringsSep "\n") hooks;
in
{
  inherit hooks;
  used = {
    options = lib.unique (lib.concatMap lib.attrNames (lib.attrValues containers));
    vethOptions = lib.unique (
      lib.concatMap (definitions: lib.concatMap lib.attrNames (lib.attrValues (definitions.extraVeths or { }))) (
        lib.attrValues containers
      )
    );
  };

  # The hosts' modules, by their names.
  modules =
    { nixpkgs }:
    let
      withoutNull = lib.filterAttrs (_: value: value != null);
      declared = lib.mapAttrs (
        _: definitions:
        withoutNull (container definitions) // lib.optionalAttrs (definitions ? nixpkgs) { inherit nixpkgs; }
      ) containers;
    in
    {
      declared = {
        system.stateVersion = "24.11";
        containers = declared;
        systemd.services."container@hooks" = {
          inherit (text)
            preStop
            postStop
            postStart
            ;
          preStart = lib.mkBefore text.preStart;
          script = lib.mkBefore text.script;
          after = [ "db.service" ];
          environment.WORD = "value";
          serviceConfig = {
            DeviceAllow = [ "/dev/kvm rw" ];
            ExecStartPre = [ "/run/current-system/sw/bin/true" ];
            MemoryHigh = "1G";
            Nice = 5;
          };
        };
      };

      # Containers have other directories there.
      old = {
        system.stateVersion = "21.11";
        containers.plain = container { };
      };

      # For containers that are made by the command.
      imperative = {
        system.stateVersion = "24.11";
        boot.enableContainers = true;
      };
    };
}
