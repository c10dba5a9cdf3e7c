# The environment of users: programs, variables, the files of /etc that programs
# expect.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.environment;

  fromTree = name: { source = "${pkgs.tree}/etc/${name}"; };
  path = "/run/wrappers/bin:/run/current-system/sw/bin";
in
{
  options = {
    environment = {
      systemPackages = mkOption {
        type = types.listOf types.package;
        default = [ ];
        description = "Packages whose programs are in the PATH of all users.";
      };
      variables = mkOption {
        type = types.attrsOf (
          types.oneOf [
            types.str
            types.int
            types.path
            types.package
          ]
        );
        default = { };
        description = "Variables of every login shell.";
      };
      sessionVariables = mkOption {
        type = types.attrsOf (types.either types.str types.path);
        default = { };
        description = "Variables of every session, shells or not.";
      };
      shellInit = mkOption {
        type = types.lines;
        default = "";
        description = "Shell commands at every login.";
      };
      shellAliases = mkOption {
        type = types.attrsOf types.str;
        default = { };
        description = "Aliases of interactive shells.";
      };
    };
    time.timeZone = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The time zone, as Europe/Amsterdam; null: UTC.";
    };
    i18n.defaultLocale = mkOption {
      type = types.str;
      default = "C.UTF-8";
      description = "The locale. The tree has C.UTF-8 only.";
    };
  };

  config = {
    # Last, so that other packages' programs of the same name take precedence.
    environment.systemPackages = lib.mkAfter [
      pkgs.bash
      pkgs.systemd
      pkgs.debian
    ];

    system.build.systemPath = pkgs.buildEnv {
      name = "system-path";
      paths = cfg.systemPackages;
      pathsToLink = [
        "/bin"
        "/etc"
        "/lib"
        "/sbin"
        "/share"
      ];
    };

    environment.sessionVariables.LANG = config.i18n.defaultLocale;

    environment.etc = {
      # Login shells read this file. Tools that enter a container from outside use
      # NixOS' name for it.
      set-environment.text = lib.concatStrings (
        lib.mapAttrsToList (n: v: "export ${n}=${lib.escapeShellArg v}\n") (
          { PATH = path; } // cfg.sessionVariables // cfg.variables
        )
      );
      profile.text = ''
        . /etc/set-environment
        ${cfg.shellInit}
        [ -z "''${BASH-}" ] || [ -z "''${PS1-}" ] || . /etc/bashrc
      '';
      bashrc.text = ''
        PS1='[\u@\h:\w]\$ '
        ${lib.concatStrings (lib.mapAttrsToList (n: v: "alias ${n}=${lib.escapeShellArg v}\n") cfg.shellAliases)}
      '';
      # The path that is compiled into Debian's bash.
      "bash.bashrc".source = "/etc/bashrc";

      # pam_env(8) gives these to every session.
      environment.text = lib.concatStrings (
        lib.mapAttrsToList (n: v: "${n}=${v}\n") ({ PATH = path; } // cfg.sessionVariables)
      );
      "default/locale".text = "LANG=${config.i18n.defaultLocale}\n";

      os-release.text = ''
        ANSI_COLOR="1;34"
        ID=nixos
        NAME=NixOS
        PRETTY_NAME="NixOS ${config.system.nixos.version}"
        VERSION="${config.system.nixos.version}"
        VERSION_ID="${config.system.nixos.release}"
      '';
      NIXOS.text = "";
      issue.text = ''

        \e[1;32m<<< Welcome to NixOS ${config.system.nixos.version} (\m) - \l >>>\e[0m

      '';
      fstab.text = "";
      localtime = lib.mkIf (config.time.timeZone != null) {
        source = "/usr/share/zoneinfo/${config.time.timeZone}";
      };
    }
    // lib.genAttrs [
      "dbus-1"
      "gai.conf"
      "host.conf"
      "ld.so.cache"
      "login.defs"
      "nsswitch.conf"
      "pam.conf"
      "pam.d"
      "security"
      "shells"
      "terminfo"
      "xattr.conf"
    ] fromTree;
  };
}
