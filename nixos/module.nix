# Runs the containers of a NixOS configuration with nixos-container.
#
# nixpkgs' own module stays: it declares `containers.<name>`, writes the conf
# files and makes the units. This module replaces the units' scripts by the
# program, adds the settings that nixpkgs keeps in those scripts to the conf
# files, and adds the options that the manual page names.
{
  config,
  lib,
  modulesPath,
  pkgs,
  ...
}:
let
  inherit (lib) mkForce mkIf mkOption optionalString types;

  # Where nixpkgs' module keeps containers: since 22.05, in the program's own places.
  inProgramsPlaces = lib.versionAtLeast config.system.stateVersion "22.05";
  confDirectory = if inProgramsPlaces then "nixos-containers" else "containers";
  stateDirectory = "/var/lib/${confDirectory}";

  inherit (config.virtualisation.nixos-container) package;
  packageInPlace =
    if inProgramsPlaces then
      package
    else
      package.override {
        inherit stateDirectory;
        configurationDirectory = "/etc/${confDirectory}";
      };
  program = lib.getExe packageInPlace;

  # nixpkgs' module with other units. It is changed where it is imported, not by
  # mkForce: the hooks and directives that a configuration adds to the units stay.
  nixpkgsFile = "virtualisation/nixos-containers.nix";
  nixpkgsModule = import "${modulesPath}/${nixpkgsFile}";
  nixpkgsModuleWithProgram = lib.setFunctionArgs (
    arguments:
    let
      module = nixpkgsModule arguments;
    in
    module
    // {
      _file = "${modulesPath}/${nixpkgsFile}";
      config = withProgram module.config;
    }
  ) (lib.functionArgs nixpkgsModule);

  # Changes the units in a module's definitions, below its mkIf and mkMerge.
  withProgram =
    definitions:
    if definitions ? contents then
      definitions // { contents = map withProgram definitions.contents; }
    else if definitions ? content then
      definitions // { content = withProgram definitions.content; }
    else if definitions ? systemd.services then
      definitions
      // {
        systemd = definitions.systemd // {
          services = lib.mapAttrs changeUnit definitions.systemd.services;
        };
      }
    else
      definitions;

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
              options.hostName = mkNullable types.str "lan-web" "The name of the host's end; the default is the link's own name.";
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
      [
        name
        "hostName=${if link.hostName == null then name else link.hostName}"
      ]
      ++ lib.concatMap (option: lib.optional (link.${option} != null) "${option}=${link.${option}}") [
        "hostBridge"
        "hostAddress"
        "hostAddress6"
        "localAddress"
        "localAddress6"
      ]
    );

  # The flags again, in quotes, if a mount has a blank in a path: nixpkgs' line would
  # fall apart there.
  quotedFlags =
    container:
    let
      flag =
        mount:
        "--bind${optionalString mount.isReadOnly "-ro"}="
        + optionalString (mount.hostPath != null) "${mount.hostPath}:"
        + mount.mountPoint;
      flags = map flag (lib.attrValues container.bindMounts);
      quote = flag: if lib.hasInfix " " flag then "'${flag}'" else flag;
    in
    optionalString (builtins.any (lib.hasInfix " ") flags) (
      toString (map quote flags ++ container.extraFlags)
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
        # nixpkgs keeps it in the start script, and has the option since 26.05.
        COPY_RESOLV_CONF = if container.copyResolvConf or true then "1" else "0";
        CONSOLE_LOG_MAX = toString container.consoleLogMax;
        CPU_QUOTA = toString container.cpuQuota;
        EPHEMERAL = optionalString container.ephemeral "1";
        NIX_DAEMON = optionalString (!container.nixDaemon) "0";
        EXTRA_NSPAWN_FLAGS = quotedFlags container;
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

  # The program is the unit's process, unless a configuration adds shell commands
  # to its `script`: then a shell runs them first.
  execStart =
    unit:
    let
      inherit (config.systemd.services.${unit}) script;
      shell = pkgs.writeShellScript "container-start" ''
        set -e
        ${script}
        exec ${program} supervise "$1"
      '';
    in
    if script == "" then "${program} supervise %i" else mkForce "${shell} %i";

  changeUnit =
    name: unit:
    let
      # Of a container in the host's configuration.
      container = config.containers.${lib.removePrefix "container@" name};
      allowed = map (device: "${device.node} ${device.modifier}") (allowedDevices container);
      root = "${stateDirectory}/%i";
      moveRoot = path: if path == root then "${container.stateDir}/%i" else path;
      moved = lib.optionalAttrs (container.stateDir != null);
    in
    if name == "container@" then
      # All devices that the containers' own device filters may allow. The
      # generator adds ALLOWED_DEVICES.
      replaceScripts name unit { DeviceAllow = [ "/dev/net/tun rwm" ]; }
    else if lib.hasPrefix "container@" name then
      replaceScripts name unit { DeviceAllow = allowed; }
      // moved {
        environment = unit.environment // {
          root = moveRoot unit.environment.root;
          NIXOS_CONTAINER_STATE_DIR = container.stateDir;
        };
        unitConfig = unit.unitConfig // {
          RequiresMountsFor = map moveRoot unit.unitConfig.RequiresMountsFor;
        };
      }
    else
      unit;

  # The names of containers by their addresses of one family, without prefix lengths.
  namesOf =
    address:
    builtins.zipAttrsWith (_: names: names) (
      lib.mapAttrsToList (
        name: container:
        lib.optionalAttrs (container.${address} != null) {
          ${builtins.head (lib.splitString "/" container.${address})} = "${name}.containers";
        }
      ) config.containers
    );

  # The unit without nixpkgs' shell scripts.
  replaceScripts =
    name: unit: directives:
    removeAttrs unit [
      "preStart"
      "script"
      "postStart"
    ]
    // {
      # The command knows a unit as a container's by these. A package may be no more
      # than a wrapper that sets them.
      environment =
        unit.environment
        // lib.optionalAttrs (!inProgramsPlaces) {
          NIXOS_CONTAINER_CONF_DIR = "/etc/${confDirectory}";
          NIXOS_CONTAINER_STATE_DIR = stateDirectory;
        };
      # An ephemeral root is in memory: the unit needs no directory for it.
      serviceConfig =
        removeAttrs unit.serviceConfig [ "RuntimeDirectory" ]
        // {
          # A cgroup with processes cannot delegate controllers to those below it,
          # so that the supervisor needs one of its own (systemd 254).
          DelegateSubgroup = "supervisor";
          ExecReload = "${program} activate %i";
          ExecStart = execStart name;
          # Exit status of a wrong configuration, which a restart does not mend.
          RestartPreventExitStatus = "78";
          # As for systemd-nspawn's containers. The generator adds the limits of the
          # container's configuration.
          TasksMax = lib.mkDefault 16384;
        }
        // directives;
    };
in
{
  disabledModules = [ nixpkgsFile ];
  imports = [ nixpkgsModuleWithProgram ];

  options = {
    virtualisation.nixos-container.hosts = mkOption {
      type = types.attrsOf (types.listOf types.str);
      readOnly = true;
      default = namesOf "localAddress" // namesOf "localAddress6";
      defaultText = lib.literalMD "the addresses of {option}`containers`";
      example = {
        "10.231.136.2" = [ "web.containers" ];
      };
      description = ''
        The names of containers by their addresses, for {option}`networking.hosts`
        of containers that look for each other. Such a container restarts when the
        addresses of others change.
      '';
    };
    virtualisation.nixos-container.package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = ''
        The package of the program that runs containers. On hosts whose
        {option}`system.stateVersion` is before 22.05, it takes the arguments
        `configurationDirectory` and `stateDirectory`, as nixpkgs' package does.
      '';
    };
    containers = mkOption { type = types.attrsOf (types.submodule containerOptions); };
  };

  config = mkIf config.boot.enableContainers {
    environment.etc =
      lib.mapAttrs' (
        name: container: lib.nameValuePair "${confDirectory}/${name}.conf" { text = lib.mkAfter (confOf container); }
      ) config.containers
      # systemd-networkd, udev and NetworkManager leave the containers' links alone.
      // lib.mapAttrs' (
        name: _: lib.nameValuePair "systemd/network/${name}" { source = ../systemd/network + "/${name}"; }
      ) (builtins.readDir ../systemd/network);
    # nixpkgs' module has those of IPv4.
    networking.hosts = namesOf "localAddress6";
    services.udev.extraRules = builtins.readFile ../systemd/udev/70-nixos-container.rules;

    # Takes precedence over nixpkgs' program of the same name.
    environment.systemPackages = [ (lib.hiPrio packageInPlace) ];
    # Adds AUTO_START and ALLOWED_DEVICES of conf files to the units.
    systemd.generators.nixos-container-generator =
      "${packageInPlace}/lib/systemd/system-generators/nixos-container-generator";
  };
}
