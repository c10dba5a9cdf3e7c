# Runs the containers of a NixOS configuration with nixos-container.
#
# nixpkgs' own module stays: it declares `containers.<name>`, writes the conf
# files and makes the units. This module replaces the units' scripts by the
# program, adds the settings that nixpkgs keeps in those scripts to the conf
# files, and adds the options that the manual page names.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkForce mkIf mkOption optionalString types;

  cfg = config.virtualisation.nixos-container;
  program = lib.getExe cfg.package;

  # Where nixpkgs' module keeps containers.
  prefix = optionalString (lib.versionAtLeast config.system.stateVersion "22.05") "nixos-";
  confDirectory = "${prefix}containers";
  places = {
    NIXOS_CONTAINER_CONF_DIR = "/etc/${confDirectory}";
    NIXOS_CONTAINER_STATE_DIR = "/var/lib/${confDirectory}";
  };

  mkNullable =
    type: example: description:
    mkOption {
      type = types.nullOr type;
      default = null;
      inherit example description;
    };

  # Options that the manual page names and nixpkgs does not have, and this
  # project's own.
  containerOptions =
    { config, ... }:
    {
      options = {
        containerAddress = mkNullable types.str "10.231.136.2" "The container's IPv4 address, the same as {option}`localAddress`.";
        network = mkNullable types.str "br0" "The bridge for the host's end of the link, the same as {option}`hostBridge`.";
        nixDaemon = mkOption {
          type = types.bool;
          default = true;
          description = "Whether the container can reach the host's Nix daemon. Without it, Nix does not work inside.";
        };
        bindHost = mkNullable types.str "192.0.2.1" "The host's address on which forwarded ports listen; the default is all addresses.";
        spoofCheck = mkOption {
          type = types.bool;
          default = true;
          description = ''
            Whether the host drops what the container sends under the address of
            another machine. Disable it for containers that are routers.
          '';
        };
        extraHostPaths = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "/srv/music" ];
          description = ''
            Paths of the host to bind at the same place in the container,
            read-only unless {option}`bindMounts.<path>.isReadOnly` is `false`.
          '';
        };
        untrusted = mkOption {
          type = types.bool;
          default = false;
          description = ''
            Whether the container runs programs of strangers. It has users and a
            network of its own, sees the store paths of its system alone, has no Nix
            daemon and fewer system calls. Devices, capabilities and interfaces of
            the host cannot be given to it.
          '';
        };
        stateDir = mkNullable types.path "/srv/containers" "The directory that contains the container's root directory, which has the container's name.";
        extraVeths = mkOption {
          type = types.attrsOf (
            types.submodule {
              options.hostName = mkNullable types.str "lan-web" "The name of the host's end; the default is made of the container's name and the link's.";
            }
          );
        };
        memoryMax = mkNullable types.str "2G" "The most memory of the container: bytes with K, M, G or T, or a percentage of the host's.";
        cpuQuota = mkNullable types.str "150%" "The most processor time of the container, as a percentage of one processor's.";
        tasksMax = mkNullable (types.either types.int types.str) 4096 "The most tasks of the container, or a percentage of the host's; the default is 16384.";
        ioWeight = mkNullable types.int 50 "The container's share of the disks' time beside others, from 1 to 10000; the default is 100.";
        limitNofile = mkNullable (types.either types.int types.str) "1024:4096" "The most open files of each process: the limit in force, and the highest that a process can set; the default is 1024:524288.";
        consoleLogMax = mkNullable types.str "4M" "The size at which the log of the container's console starts over; the default is 1M.";
        journalMaxUse = mkNullable types.str "500M" "The most disk space of the container's journal, in place of what its journald.conf says.";
      };
      config = {
        localAddress = mkIf (config.containerAddress != null) config.containerAddress;
        hostBridge = mkIf (config.network != null) config.network;
        bindMounts = lib.genAttrs config.extraHostPaths (_: { });
      };
    };

  # Whether nixpkgs' scripts allow /dev/net/tun.
  hasTun =
    container:
    container.enableTun
    || (
      !container.untrusted
      && container.privateNetwork
      && (container.privateUsers == "pick" || (builtins.isInt container.privateUsers && container.privateUsers > 0))
    );
  allowedDevices =
    container:
    container.allowedDevices
    ++ lib.optional (hasTun container) {
      node = "/dev/net/tun";
      modifier = "rwm";
    };
  capabilities =
    container: container.additionalCapabilities ++ lib.optional container.enableTun "CAP_NET_ADMIN";

  # An entry of EXTRA_VETHS: NAME[,OPTION=VALUE…].
  extraVeth =
    name: link:
    lib.concatStringsSep "," (
      [ name ]
      ++ lib.concatMap (option: lib.optional (link.${option} != null) "${option}=${link.${option}}") [
        "hostName"
        "hostBridge"
        "hostAddress"
        "hostAddress6"
        "localAddress"
        "localAddress6"
      ]
    );

  # This project's keys, for settings that nixpkgs keeps in a unit's scripts.
  confOf =
    container:
    lib.concatStrings (
      lib.mapAttrsToList (key: value: optionalString (value != "") "${key}=\"${value}\"\n") {
        ADDITIONAL_CAPABILITIES = lib.concatStringsSep "," (capabilities container);
        ALLOWED_DEVICES = lib.concatMapStringsSep "," (device: "${device.node} ${device.modifier}") (
          allowedDevices container
        );
        BIND_HOST = optionalString (container.bindHost != null) container.bindHost;
        CONSOLE_LOG_MAX = toString container.consoleLogMax;
        CPU_QUOTA = toString container.cpuQuota;
        EPHEMERAL = optionalString container.ephemeral "1";
        NIX_DAEMON = optionalString (!container.nixDaemon) "0";
        EXTRA_VETHS = toString (lib.mapAttrsToList extraVeth container.extraVeths);
        IO_WEIGHT = toString container.ioWeight;
        JOURNAL_MAX_USE = toString container.journalMaxUse;
        LIMIT_NOFILE = toString container.limitNofile;
        MEMORY_MAX = toString container.memoryMax;
        SPOOF_CHECK = optionalString (!container.spoofCheck) "0";
        TASKS_MAX = toString container.tasksMax;
        TIMEOUT_START_SEC = container.timeoutStartSec;
        UNTRUSTED = optionalString container.untrusted "1";
        TMPFS = toString (if container.tmpfs == null then [ ] else container.tmpfs);
      }
    );

  # The unit, without shell scripts.
  unit = {
    preStart = mkForce "";
    script = mkForce "";
    postStart = mkForce "";
    # An untrusted container sees the store paths that Nix names.
    path = [ config.nix.package ];
    environment = places // {
      INSTANCE = mkForce null;
      root = mkForce null;
    };
    serviceConfig = {
      EnvironmentFile = mkForce [ ];
      # A cgroup with processes cannot delegate controllers to those below it,
      # so that the supervisor needs one of its own (systemd 254).
      DelegateSubgroup = "supervisor";
      ExecReload = mkForce "${program} activate %i";
      ExecStart = "${program} supervise %i";
      # Exit status of a wrong configuration, which a restart does not mend.
      RestartPreventExitStatus = "78";
      # As for systemd-nspawn's containers. The generator adds the limits of the
      # container's configuration.
      TasksMax = lib.mkDefault 16384;
    };
  };

  # The unit of a container in the host's configuration. An ephemeral root is
  # in memory: the unit needs no directory for it.
  declaredUnit =
    name: container:
    lib.recursiveUpdate unit {
      environment = lib.optionalAttrs (container.stateDir != null) {
        NIXOS_CONTAINER_STATE_DIR = container.stateDir;
      };
      serviceConfig.DeviceAllow = mkForce (
        map (device: "${device.node} ${device.modifier}") (allowedDevices container)
      );
      serviceConfig.RuntimeDirectory = mkForce [ ];
      unitConfig.RequiresMountsFor = mkIf (container.stateDir != null) (
        mkForce (
          [ "${container.stateDir}/${name}" ]
          ++ map (mount: if mount.hostPath != null then mount.hostPath else mount.mountPoint) (
            lib.attrValues container.bindMounts
          )
        )
      );
    };
in
{
  options = {
    virtualisation.nixos-container.package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package of the program that runs containers.";
    };
    containers = mkOption { type = types.attrsOf (types.submodule containerOptions); };
  };

  config = mkIf config.boot.enableContainers {
    systemd.services =
      lib.mapAttrs' (name: container: lib.nameValuePair "container@${name}" (declaredUnit name container)) config.containers
      // {
        # All devices that the containers' own device filters may allow. The
        # generator adds ALLOWED_DEVICES.
        "container@" = lib.recursiveUpdate unit {
          serviceConfig.DeviceAllow = mkForce [ "/dev/net/tun rwm" ];
        };
      };

    environment.etc =
      lib.mapAttrs' (
        name: container: lib.nameValuePair "${confDirectory}/${name}.conf" { text = confOf container; }
      ) config.containers
      # systemd-networkd, udev and NetworkManager leave the containers' links alone.
      // lib.mapAttrs' (
        name: _: lib.nameValuePair "systemd/network/${name}" { source = ../systemd/network + "/${name}"; }
      ) (builtins.readDir ../systemd/network);
    services.udev.extraRules = builtins.readFile ../systemd/udev/70-nixos-container.rules;

    # Takes precedence over nixpkgs' program of the same name.
    environment.systemPackages = [ (lib.hiPrio cfg.package) ];
    # Adds AUTO_START and ALLOWED_DEVICES of conf files to the units.
    systemd.generators.nixos-container-generator =
      "${cfg.package}/lib/systemd/system-generators/nixos-container-generator";
    environment.sessionVariables = places;
  };
}
