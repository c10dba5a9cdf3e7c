# Nix inside: a client of the host's daemon, and nixos-rebuild.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.nix;

  value = types.oneOf [
    types.bool
    types.int
    types.str
    types.path
  ];
  show =
    v:
    if builtins.isBool v then
      lib.boolToString v
    else
      toString v;
  channels = "/nix/var/nix/profiles/per-user/root/channels";
in
{
  options = {
    nix = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether Nix and nixos-rebuild work inside.";
      };
      package = mkOption {
        type = types.package;
        default = pkgs.nix;
        description = "The package with Nix' programs.";
      };
      settings = mkOption {
        type = types.attrsOf (types.either value (types.listOf value));
        default = { };
        description = "Lines of nix.conf(5).";
      };
      nixPath = mkOption {
        type = types.listOf types.str;
        default = [
          "nixpkgs=${channels}/nixos"
          "nixos-config=/etc/nixos/configuration.nix"
          channels
        ];
        description = "Search path of <name>.";
      };
    };
    system.defaultChannel = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "root's first channel. Tests cannot reach the channel of NixOS.";
    };
  };

  config = lib.mkIf cfg.enable {
    # Without this, each build would wait for a network.
    nix.settings.substituters = lib.mkDefault [ ];

    environment.etc."nix/nix.conf".text = lib.concatStrings (
      lib.mapAttrsToList (n: v: "${n} = ${lib.concatMapStringsSep " " show (lib.toList v)}\n") cfg.settings
    );

    environment.sessionVariables = {
      NIX_PATH = builtins.concatStringsSep ":" cfg.nixPath;
    }
    # Store and daemon are the host's. Without this setting, Nix would use a
    # /nix/var/nix that root can write as a store of its own.
    // lib.optionalAttrs config.boot.isContainer { NIX_REMOTE = "daemon"; };

    environment.systemPackages = [
      (pkgs.writeScriptBin "nixos-rebuild" (
        "#!${pkgs.runtimeShell}\n" + builtins.readFile ../scripts/nixos-rebuild.sh
      ))
    ];

    system.activationScripts.nix = lib.mkIf (config.system.defaultChannel != null) ''
      [ -e /root/.nix-channels ] ||
        echo ${lib.escapeShellArg "${config.system.defaultChannel} nixos"} >/root/.nix-channels
    '';
  };
}
