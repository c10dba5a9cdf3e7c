# The container's names and the names it knows. Its links and addresses come
# from outside.
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
            description = "How much of it names the network.";
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
  options.networking = {
    hostName = mkOption {
      type = types.strMatching "([[:alnum:]]([[:alnum:]_-]{0,61}[[:alnum:]])?)?";
      default = "nixos";
      description = "The host's name.";
    };
    domain = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The domain that hostName is in.";
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
      description = "Resolvers for /etc/resolv.conf; none: the file is left alone.";
    };
    useHostResolvConf = mkOption {
      type = types.bool;
      default = config.boot.isContainer;
      description = "Whether the resolv.conf that the runtime brought is used; it is, unless nameservers are given.";
    };
    useDHCP = mkOption {
      type = types.bool;
      default = !config.boot.isContainer;
      description = "Addresses by DHCP; not to be had here.";
    };
    firewall = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Taken for the sake of configurations that say it; nothing is filtered here.";
      };
      allowedTCPPorts = mkOption {
        type = types.listOf types.port;
        default = [ ];
        description = "Taken as `enable' is.";
      };
      allowedUDPPorts = mkOption {
        type = types.listOf types.port;
        default = [ ];
        description = "Taken as `enable' is.";
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

    # systemd sets it at boot; a switch has to do it itself.
    system.activationScripts.hostname = lib.optionalString (cfg.hostName != "") ''
      read -r current </proc/sys/kernel/hostname
      [ "$current" = ${cfg.hostName} ] || hostname ${cfg.hostName}
    '';
  };
}
