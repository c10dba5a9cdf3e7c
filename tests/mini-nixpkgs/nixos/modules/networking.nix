# The container's names and the names it knows. Its links and addresses come
# from outside.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.networking;
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
