# The container's host name and known names. The runtime sets up links and
# addresses.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.networking;

  addresses = mkOption {
    default = [ ];
    description = "Addresses of the interface.";
    type = types.listOf (
      types.submodule {
        options = {
          address = mkOption {
            type = types.str;
            description = "The address.";
          };
          prefixLength = mkOption {
            type = types.int;
            description = "The length of the network's prefix.";
          };
        };
      }
    );
  };
  addAddresses =
    name: interface:
    lib.concatMapStrings (
      a: "ip address replace ${a.address}/${toString a.prefixLength} dev ${name} nodad\n"
    ) (interface.ipv4.addresses ++ interface.ipv6.addresses)
    + "ip link set ${name} up\n";
  addBridge =
    name: bridge:
    "ip link add ${name} type bridge\n"
    + lib.concatMapStrings (port: "ip link set ${port} master ${name}\n") bridge.interfaces;
in
{
  options.services.udev.extraRules = mkOption {
    type = types.lines;
    default = "";
    description = "Rules for udev, which no host of ours has: all are containers.";
  };
  options.networking = {
    hostName = mkOption {
      type = types.strMatching "([[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?)?";
      default = "nixos";
      description = "The host's name.";
    };
    domain = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The domain of hostName.";
    };
    hosts = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      description = "Names by address, for /etc/hosts.";
    };
    extraHosts = mkOption {
      type = types.lines;
      default = "";
      description = "More lines of /etc/hosts.";
    };
    bridges = mkOption {
      default = { };
      description = "Bridges to make.";
      type = types.attrsOf (
        types.submodule {
          options.interfaces = mkOption {
            type = types.listOf types.str;
            description = "Interfaces to put into the bridge.";
          };
        }
      );
    };
    interfaces = mkOption {
      default = { };
      description = "Interfaces to set up.";
      type = types.attrsOf (
        types.submodule {
          options.ipv4 = { inherit addresses; };
          options.ipv6 = { inherit addresses; };
        }
      );
    };
    nameservers = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Resolvers for /etc/resolv.conf; an empty list leaves the file as it is.";
    };
    useHostResolvConf = mkOption {
      type = types.bool;
      default = config.boot.isContainer;
      description = "Whether to use the runtime's resolv.conf; the default is yes, unless nameservers are set.";
    };
    useDHCP = mkOption {
      type = types.bool;
      default = !config.boot.isContainer;
      description = "Whether to use DHCP, which is not supported here.";
    };
    firewall = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Accepted for compatibility, without effect.";
      };
      allowedTCPPorts = mkOption {
        type = types.listOf types.port;
        default = [ ];
        description = "Accepted like `enable'.";
      };
      allowedUDPPorts = mkOption {
        type = types.listOf types.port;
        default = [ ];
        description = "Accepted like `enable'.";
      };
    };
  };

  config = {
    assertions = [
      {
        assertion = !cfg.useDHCP;
        message = "mini-nixpkgs has no DHCP client: set networking.useDHCP = false";
      }
    ];

    networking.hosts = {
      "127.0.0.1" = [ "localhost" ];
      "::1" = [ "localhost" ];
      "127.0.0.2" = lib.mkIf (cfg.hostName != "") (
        lib.optional (cfg.domain != null) "${cfg.hostName}.${cfg.domain}" ++ [ cfg.hostName ]
      );
    };

    systemd.services.network-setup = lib.mkIf (cfg.bridges != { } || cfg.interfaces != { }) {
      description = "Bridges and addresses";
      wantedBy = [ "multi-user.target" ];
      before = [ "network.target" ];
      wants = [ "network.target" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script =
        lib.concatStrings (lib.mapAttrsToList addBridge cfg.bridges)
        + lib.concatStrings (lib.mapAttrsToList addAddresses cfg.interfaces);
    };

    environment.etc = {
      hostname = lib.mkIf (cfg.hostName != "") { text = "${cfg.hostName}\n"; };
      hosts.text = lib.concatStrings (
        lib.mapAttrsToList (address: names: "${address} ${toString names}\n") cfg.hosts
      )
      + cfg.extraHosts;
      "resolv.conf" = lib.mkIf (cfg.nameservers != [ ]) {
        text = lib.concatMapStrings (n: "nameserver ${n}\n") cfg.nameservers;
      };
    };

    # systemd sets the host name at boot, the activation at a switch.
    system.activationScripts.hostname = lib.optionalString (cfg.hostName != "") ''
      read -r current </proc/sys/kernel/hostname
      [ "$current" = ${cfg.hostName} ] || hostname ${cfg.hostName}
    '';
  };
}
