# Runs the containers of a NixOS configuration with nixos-container.
#
# nixpkgs' own module stays: it declares `containers.<name>`, writes the conf
# files and makes the units. This one puts our program in the place of the
# scripts, adds to the conf files what nixpkgs keeps in those scripts, and adds
# the options that the manual page names.
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

  # What the manual page calls by other words than nixpkgs, and what is ours.
  containerOptions =
    { config, ... }:
    {
      options = {
        containerAddress = mkNullable types.str "10.231.136.2" "The container's IPv4 address: another word for {option}`localAddress`.";
        network = mkNullable types.str "br0" "The bridge that the host's end of the link is put into: another word for {option}`hostBridge`.";
        bindHost = mkNullable types.str "192.0.2.1" "The host's address on which forwarded ports listen; by default all of them.";
        extraHostPaths = mkOption {
          type = types.listOf types.str;
          default = [ ];
          example = [ "/srv/music" ];
          description = ''
            Paths of the host that are seen at the same place inside, read-only
            unless {option}`bindMounts.<path>.isReadOnly` is `false`.
          '';
        };
        stateDir = mkNullable types.path "/srv/containers" "The directory that the container's root directory, of the container's name, is in.";
        extraVeths = mkOption {
          type = types.attrsOf (
            types.submodule {
              options.hostName = mkNullable types.str "lan-web" "The name of the host's end; by default made of the container's and the link's.";
            }
          );
        };
      };
      config = {
        localAddress = mkIf (config.containerAddress != null) config.containerAddress;
        hostBridge = mkIf (config.network != null) config.network;
        bindMounts = lib.genAttrs config.extraHostPaths (_: { });
      };
    };

  # What nixpkgs' scripts add for a container with tunnels.
  hasTun =
    container:
    container.enableTun
    || (
      container.privateNetwork
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

  # NAME[,OPTION=VALUE…], as EXTRA_VETHS reads it.
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

  # Keys that are ours, for what nixpkgs keeps in a unit's scripts.
  confOf =
    container:
    lib.concatStrings (
      lib.mapAttrsToList (key: value: optionalString (value != "") "${key}=\"${value}\"\n") {
        ADDITIONAL_CAPABILITIES = lib.concatStringsSep "," (capabilities container);
        ALLOWED_DEVICES = lib.concatMapStringsSep "," (device: "${device.node} ${device.modifier}") (
          allowedDevices container
        );
        BIND_HOST = optionalString (container.bindHost != null) container.bindHost;
        EPHEMERAL = optionalString container.ephemeral "1";
        EXTRA_VETHS = toString (lib.mapAttrsToList extraVeth container.extraVeths);
        TIMEOUT_START_SEC = container.timeoutStartSec;
        TMPFS = toString (if container.tmpfs == null then [ ] else container.tmpfs);
      }
    );

  # The unit without a line of shell.
  unit = {
    preStart = mkForce "";
    script = mkForce "";
    postStart = mkForce "";
    environment = places // {
      INSTANCE = mkForce null;
      root = mkForce null;
    };
    serviceConfig = {
      EnvironmentFile = mkForce [ ];
      # Where a group with processes in it can have none below (systemd 254).
      DelegateSubgroup = "supervisor";
      ExecReload = mkForce "${program} activate %i";
      ExecStart = "${program} supervise %i";
      # Of a configuration that is wrong: it will be the next time, too.
      RestartPreventExitStatus = "78";
    };
  };

  # The root directory of an ephemeral container is no directory of the host.
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
      description = "The nixos-container to run containers with.";
    };
    containers = mkOption { type = types.attrsOf (types.submodule containerOptions); };
  };

  config = mkIf config.boot.enableContainers {
    systemd.services =
      lib.mapAttrs' (name: container: lib.nameValuePair "container@${name}" (declaredUnit name container)) config.containers
      // {
        # Every container's filter of devices has tunnels. The generator adds
        # ALLOWED_DEVICES.
        "container@" = lib.recursiveUpdate unit {
          serviceConfig.DeviceAllow = mkForce [ "/dev/net/tun rwm" ];
        };
      };

    environment.etc = lib.mapAttrs' (
      name: container: lib.nameValuePair "${confDirectory}/${name}.conf" { text = confOf container; }
    ) config.containers;

    # Before nixpkgs' program of the same name.
    environment.systemPackages = [ (lib.hiPrio cfg.package) ];
    # What imperative containers need of their units.
    systemd.generators.nixos-container-generator =
      "${cfg.package}/lib/systemd/system-generators/nixos-container-generator";
    environment.sessionVariables = places;
  };
}
