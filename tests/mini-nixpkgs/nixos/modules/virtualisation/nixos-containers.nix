# `containers.<name>` as NixOS has it since 25.11: the options, the conf files and
# the units around scripts. Of the scripts there is a line each, for tests that
# they are gone: the module of this project puts its program in their place
# (nixos/module.nix).
{
  config,
  lib,
  pkgs,
  ...
}@host:
let
  inherit (lib) mkOption optionalString types;

  prefix = optionalString (lib.versionAtLeast config.system.stateVersion "22.05") "nixos-";
  confDirectory = "${prefix}containers";
  stateDirectory = "/var/lib/${prefix}containers";
  nixos-container = pkgs.nixos-container.override {
    inherit stateDirectory;
    configurationDirectory = "/etc/${confDirectory}";
  };

  # An address, which may have a prefix length.
  toAddress =
    longest: text:
    let
      parts = lib.splitString "/" text;
    in
    {
      address = builtins.head parts;
      prefixLength = if builtins.length parts == 2 then lib.toInt (lib.last parts) else longest;
    };

  option =
    type: default: description:
    mkOption { inherit type default description; };
  optional = type: option (types.nullOr type) null;
  many = type: option (types.listOf type) [ ];

  port = types.submodule {
    options = {
      protocol = option types.str "tcp" "Protocol of the port.";
      hostPort = mkOption {
        type = types.port;
        description = "Port of the host.";
      };
      containerPort = optional types.port "Port of the container; null: the same.";
    };
  };
  networkOptions = {
    hostBridge = optional types.str "The bridge that the host's end is put into.";
    forwardPorts = many port "Ports of the host that lead to the container.";
    hostAddress = optional types.str "The host's IPv4 address.";
    hostAddress6 = optional types.str "The host's IPv6 address.";
    localAddress = optional types.str "The container's IPv4 address.";
    localAddress6 = optional types.str "The container's IPv6 address.";
    localMacAddress = optional (types.strMatching "([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}") "The container's MAC address.";
  };

  bindMount = types.submodule (
    { name, ... }:
    {
      options = {
        mountPoint = option types.str name "Path inside.";
        hostPath = optional types.str "Path on the host; null: the same.";
        isReadOnly = option types.bool true "Whether the container may only read it.";
      };
    }
  );
  device = types.submodule {
    options = {
      node = mkOption {
        type = types.str;
        description = "Path of the device.";
      };
      modifier = mkOption {
        type = types.str;
        description = "What may be done with it: r, w, m.";
      };
    };
  };

  container =
    {
      config,
      options,
      name,
      ...
    }:
    {
      options = networkOptions // {
        config = mkOption {
          description = "The container's configuration, as a module.";
          type = lib.mkOptionType {
            name = "Toplevel NixOS config";
            merge =
              _: defs:
              (import "${toString config.nixpkgs}/nixos/lib/eval-config.nix" {
                modules = [
                  {
                    boot.isNspawnContainer = true;
                    networking.hostName = lib.mkDefault name;
                    networking.useDHCP = false;
                    # As NixOS has it since 26.05.
                    networking.interfaces = lib.mkIf config.privateNetwork (
                      lib.mkMerge [
                        (lib.mkIf (config.localAddress != null) {
                          eth0.ipv4.addresses = [ (toAddress 32 config.localAddress) ];
                        })
                        (lib.mkIf (config.localAddress6 != null) {
                          eth0.ipv6.addresses = [ (toAddress 128 config.localAddress6) ];
                        })
                      ]
                    );
                  }
                ]
                ++ map (def: def.value) defs;
                prefix = [
                  "containers"
                  name
                ];
                inherit (config) specialArgs;
              }).config;
          };
        };
        path = mkOption {
          type = types.path;
          description = "The system, where it is not made of `config`.";
        };
        flake = optional types.str "The flake that the system is made of.";
        nixpkgs = option types.path ../../.. "The nixpkgs to make it with.";
        specialArgs = option (types.attrsOf types.unspecified) { } "Arguments of the configuration's modules.";
        additionalCapabilities = many types.str "Capabilities beside the usual ones.";
        ephemeral = option types.bool false "Whether its root is empty at each start.";
        enableTun = option types.bool false "Whether it may make tunnels.";
        copyResolvConf = option types.bool true "Whether it gets the host's resolv.conf.";
        privateNetwork = option types.bool false "Whether it has a network of its own.";
        networkNamespace = optional types.path "A network namespace that there is already.";
        privateUsers = option (types.either types.int (
          types.enum [
            "no"
            "identity"
            "pick"
          ]
        )) "no" "Whether it has users of its own.";
        interfaces = many types.str "Interfaces that are moved in.";
        macvlans = many types.str "Interfaces that it gets a link on.";
        extraVeths = option (types.attrsOf (types.submodule { options = networkOptions; })) { } "Further links.";
        autoStart = option types.bool false "Whether it starts with the host.";
        restartIfChanged = option types.bool true "Whether a switch may restart it.";
        timeoutStartSec = option types.str "1min" "How long its start may take.";
        bindMounts = option (types.attrsOf bindMount) { } "Paths of the host that are seen inside.";
        allowedDevices = many device "Devices that it may use.";
        tmpfs = many types.str "Paths with a tmpfs of their own.";
        extraFlags = many types.str "Further flags of systemd-nspawn.";
      };
      config.path = lib.mkMerge [
        (lib.mkIf options.config.isDefined config.config.system.build.toplevel)
        (lib.mkIf (config.flake != null) "/nix/var/nix/profiles/per-container/${name}")
      ];
    };

  # The directives that the units of nixpkgs have.
  serviceConfig = {
    ExecReload = "${lib.getExe nixos-container} run \"$INSTANCE\" -- switch-to-configuration test";
    SyslogIdentifier = "container %i";
    EnvironmentFile = "-/etc/${confDirectory}/%i.conf";
    Type = "notify";
    RestartForceExitStatus = "133";
    SuccessExitStatus = "133";
    Restart = "on-failure";
    Slice = "machine.slice";
    Delegate = true;
    KillMode = "mixed";
    KillSignal = "TERM";
    DevicePolicy = "closed";
  };
  unit = cfg: {
    description = "Container '%i'";
    unitConfig.RequiresMountsFor = lib.optional (!cfg.ephemeral) "${stateDirectory}/%i"
    ++ map (mount: if mount.hostPath != null then mount.hostPath else mount.mountPoint) (
      lib.attrValues cfg.bindMounts
    );
    environment = {
      root = if cfg.ephemeral then "/run/nixos-containers/%i" else "${stateDirectory}/%i";
      INSTANCE = "%i";
    };
    path = [
      pkgs.iproute2
      config.nix.package
    ];
    preStart = "machinectl terminate \"$INSTANCE\"";
    script = "exec systemd-nspawn";
    postStart = "ip link set dev \"ve-$INSTANCE\" up";
    restartIfChanged = false;
    serviceConfig = serviceConfig // {
      TimeoutStartSec = cfg.timeoutStartSec;
      RuntimeDirectory = lib.optional cfg.ephemeral "${confDirectory}/%i";
      DeviceAllow = map (device: "${device.node} ${device.modifier}") cfg.allowedDevices;
    };
  };
  declaredUnit =
    name: given:
    let
      devices = map (link: "sys-subsystem-net-devices-${link}.device") cfg.interfaces;
      hasUsers = cfg.privateUsers == "pick" || builtins.isInt cfg.privateUsers && cfg.privateUsers > 0;
      hasTun = given.enableTun || given.privateNetwork && hasUsers;
      cfg = given // {
        allowedDevices =
          given.allowedDevices
          ++ lib.optional hasTun {
            node = "/dev/net/tun";
            modifier = "rwm";
          };
      };
    in
    lib.recursiveUpdate (unit cfg) (
      lib.optionalAttrs cfg.autoStart {
        wantedBy = [ "machines.target" ];
        wants = [ "network.target" ] ++ devices;
        after = [ "network.target" ] ++ devices;
        restartTriggers = [
          cfg.path
          host.config.environment.etc."${confDirectory}/${name}.conf".source
        ];
        inherit (cfg) restartIfChanged;
      }
    );

  set = key: value: optionalString (value != null) "${key}=${value}\n";
  bindFlag =
    mount:
    " --bind${optionalString mount.isReadOnly "-ro"}="
    + optionalString (mount.hostPath != null) "${mount.hostPath}:"
    + mount.mountPoint;
  portWord =
    port:
    "${port.protocol}:${toString port.hostPort}:"
    + toString (if port.containerPort == null then port.hostPort else port.containerPort);
  conf =
    cfg:
    set "SYSTEM_PATH" (if cfg.flake == null then "${cfg.path}" else null)
    + set "FLAKE" cfg.flake
    + optionalString cfg.privateNetwork (
      "PRIVATE_NETWORK=1\n"
      + set "HOST_BRIDGE" cfg.hostBridge
      + optionalString (cfg.forwardPorts != [ ]) "HOST_PORT=${
        lib.concatStringsSep "," (map portWord cfg.forwardPorts)
      }\n"
      + set "HOST_ADDRESS" cfg.hostAddress
      + set "HOST_ADDRESS6" cfg.hostAddress6
      + set "LOCAL_ADDRESS" cfg.localAddress
      + set "LOCAL_ADDRESS6" cfg.localAddress6
      + set "LOCAL_MAC_ADDRESS" cfg.localMacAddress
    )
    + set "NETWORK_NAMESPACE_PATH" cfg.networkNamespace
    + "PRIVATE_USERS=${toString cfg.privateUsers}\n"
    + "INTERFACES=\"${toString cfg.interfaces}\"\n"
    + "MACVLANS=\"${toString cfg.macvlans}\"\n"
    + optionalString cfg.autoStart "AUTO_START=1\n"
    + "EXTRA_NSPAWN_FLAGS=\"${
      lib.concatMapStrings bindFlag (lib.attrValues cfg.bindMounts)
      + lib.concatMapStrings (flag: " ${flag}") cfg.extraFlags
    }\"\n";
in
{
  options = {
    boot.isNspawnContainer = option types.bool false "Whether this is the system of a container that has its file systems before init.";
    boot.isContainer = option types.bool config.boot.isNspawnContainer "Whether this is the system of a container. Here it has to be: there is no kernel.";
    boot.enableContainers = option types.bool (config.containers != { }) "Whether containers can be run.";
    containers = option (types.attrsOf (types.submodule container)) { } "Containers, by their names.";
  };

  config = lib.mkMerge [
    {
      assertions = lib.mapAttrsToList (name: cfg: {
        assertion = cfg.networkNamespace == null || !cfg.privateNetwork && cfg.interfaces == [ ];
        message = "containers.${name}.networkNamespace excludes privateNetwork and interfaces";
      }) config.containers;
    }
    (lib.mkIf config.boot.enableContainers {
      environment.systemPackages = [ nixos-container ];
      systemd.targets.multi-user.wants = [ "machines.target" ];
      systemd.services =
        lib.mapAttrs' (name: cfg: lib.nameValuePair "container@${name}" (declaredUnit name cfg)) config.containers
        // {
          "container@" = unit {
            ephemeral = false;
            bindMounts = { };
            allowedDevices = [ ];
            timeoutStartSec = "1min";
          };
        };
      environment.etc = lib.mapAttrs' (
        name: cfg: lib.nameValuePair "${confDirectory}/${name}.conf" { text = conf cfg; }
      ) config.containers;
      networking.extraHosts = lib.concatStrings (
        lib.mapAttrsToList (
          name: cfg:
          optionalString (cfg.localAddress != null) "${builtins.head (lib.splitString "/" cfg.localAddress)} ${name}.containers\n"
        ) config.containers
      );
    })
  ];
}
